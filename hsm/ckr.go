package hsm

import "fmt"

// CKR is a PKCS#11 return value other than CKR_OK, as an error.
type CKR uint

// Return values that the code decides by. The table below has all of them.
const (
	ckrSlotIDInvalid         CKR = 0x03
	ckrGeneralError          CKR = 0x05
	ckrArgumentsBad          CKR = 0x07
	ckrActionProhibited      CKR = 0x1b
	ckrDeviceError           CKR = 0x30
	ckrDeviceRemoved         CKR = 0x32
	ckrAttributeReadOnly     CKR = 0x10
	ckrAttributeSensitive    CKR = 0x11
	ckrAttributeTypeInvalid  CKR = 0x12
	ckrAttributeValueInvalid CKR = 0x13
	ckrEncryptedDataInvalid  CKR = 0x40
	ckrKeyHandleInvalid      CKR = 0x60
	ckrSignatureInvalid      CKR = 0xc0
	ckrSignatureLenRange     CKR = 0xc1
	ckrMechanismInvalid      CKR = 0x70
	ckrObjectHandleInvalid   CKR = 0x82
	ckrOperationActive       CKR = 0x90
	ckrPINIncorrect          CKR = 0xa0
	ckrSessionCount          CKR = 0xb1
	ckrSessionHandleInvalid  CKR = 0xb3
	ckrTemplateInconsistent  CKR = 0xd1
	ckrTokenWriteProtected   CKR = 0xe2
	ckrUserAlreadyLoggedIn   CKR = 0x100
	ckrUserNotLoggedIn       CKR = 0x101
	ckrAlreadyInitialized    CKR = 0x191
	ckrNotInitialized        CKR = 0x190
	ckrFunctionRejected      CKR = 0x200
)

type ckrRow struct {
	name  string
	class Class
}

// ckrTable has every return value of PKCS#11 3.2 with what it means here. A
// code that is not in it is vendor-defined and Internal.
var ckrTable = map[CKR]ckrRow{
	0x01:  {"CKR_CANCEL", Internal},
	0x02:  {"CKR_HOST_MEMORY", Internal},
	0x03:  {"CKR_SLOT_ID_INVALID", TokenGone},
	0x05:  {"CKR_GENERAL_ERROR", Internal},
	0x06:  {"CKR_FUNCTION_FAILED", Internal},
	0x07:  {"CKR_ARGUMENTS_BAD", BadInput},
	0x08:  {"CKR_NO_EVENT", Internal},
	0x09:  {"CKR_NEED_TO_CREATE_THREADS", Internal},
	0x0a:  {"CKR_CANT_LOCK", Internal},
	0x10:  {"CKR_ATTRIBUTE_READ_ONLY", Refused},
	0x11:  {"CKR_ATTRIBUTE_SENSITIVE", Refused},
	0x12:  {"CKR_ATTRIBUTE_TYPE_INVALID", Unsupported},
	0x13:  {"CKR_ATTRIBUTE_VALUE_INVALID", Unsupported},
	0x1b:  {"CKR_ACTION_PROHIBITED", Refused},
	0x20:  {"CKR_DATA_INVALID", BadInput},
	0x21:  {"CKR_DATA_LEN_RANGE", BadInput},
	0x30:  {"CKR_DEVICE_ERROR", TokenGone},
	0x31:  {"CKR_DEVICE_MEMORY", Full},
	0x32:  {"CKR_DEVICE_REMOVED", TokenGone},
	0x40:  {"CKR_ENCRYPTED_DATA_INVALID", BadInput},
	0x41:  {"CKR_ENCRYPTED_DATA_LEN_RANGE", BadInput},
	0x42:  {"CKR_AEAD_DECRYPT_FAILED", BadInput},
	0x50:  {"CKR_FUNCTION_CANCELED", Internal},
	0x51:  {"CKR_FUNCTION_NOT_PARALLEL", Internal},
	0x54:  {"CKR_FUNCTION_NOT_SUPPORTED", Unsupported},
	0x60:  {"CKR_KEY_HANDLE_INVALID", SessionLost},
	0x62:  {"CKR_KEY_SIZE_RANGE", Unsupported},
	0x63:  {"CKR_KEY_TYPE_INCONSISTENT", Unsupported},
	0x64:  {"CKR_KEY_NOT_NEEDED", BadInput},
	0x65:  {"CKR_KEY_CHANGED", KeyInvalid},
	0x66:  {"CKR_KEY_NEEDED", BadInput},
	0x67:  {"CKR_KEY_INDIGESTIBLE", Unsupported},
	0x68:  {"CKR_KEY_FUNCTION_NOT_PERMITTED", Refused},
	0x69:  {"CKR_KEY_NOT_WRAPPABLE", Refused},
	0x6a:  {"CKR_KEY_UNEXTRACTABLE", Refused},
	0x70:  {"CKR_MECHANISM_INVALID", Unsupported},
	0x71:  {"CKR_MECHANISM_PARAM_INVALID", Unsupported},
	0x82:  {"CKR_OBJECT_HANDLE_INVALID", SessionLost},
	0x90:  {"CKR_OPERATION_ACTIVE", SessionLost},
	0x91:  {"CKR_OPERATION_NOT_INITIALIZED", SessionLost},
	0xa0:  {"CKR_PIN_INCORRECT", PINIncorrect},
	0xa1:  {"CKR_PIN_INVALID", PINIncorrect},
	0xa2:  {"CKR_PIN_LEN_RANGE", PINIncorrect},
	0xa3:  {"CKR_PIN_EXPIRED", PINExpired},
	0xa4:  {"CKR_PIN_LOCKED", PINLocked},
	0xb0:  {"CKR_SESSION_CLOSED", SessionLost},
	0xb1:  {"CKR_SESSION_COUNT", Busy},
	0xb3:  {"CKR_SESSION_HANDLE_INVALID", SessionLost},
	0xb4:  {"CKR_SESSION_PARALLEL_NOT_SUPPORTED", Unsupported},
	0xb5:  {"CKR_SESSION_READ_ONLY", ReadOnly},
	0xb6:  {"CKR_SESSION_EXISTS", LoggedInElsewhere},
	0xb7:  {"CKR_SESSION_READ_ONLY_EXISTS", LoggedInElsewhere},
	0xb8:  {"CKR_SESSION_READ_WRITE_SO_EXISTS", LoggedInElsewhere},
	0xc0:  {"CKR_SIGNATURE_INVALID", BadInput},
	0xc1:  {"CKR_SIGNATURE_LEN_RANGE", BadInput},
	0xd0:  {"CKR_TEMPLATE_INCOMPLETE", Unsupported},
	0xd1:  {"CKR_TEMPLATE_INCONSISTENT", Unsupported},
	0xe0:  {"CKR_TOKEN_NOT_PRESENT", TokenGone},
	0xe1:  {"CKR_TOKEN_NOT_RECOGNIZED", TokenGone},
	0xe2:  {"CKR_TOKEN_WRITE_PROTECTED", ReadOnly},
	0xf0:  {"CKR_UNWRAPPING_KEY_HANDLE_INVALID", SessionLost},
	0xf1:  {"CKR_UNWRAPPING_KEY_SIZE_RANGE", Unsupported},
	0xf2:  {"CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT", Unsupported},
	0x100: {"CKR_USER_ALREADY_LOGGED_IN", LoggedInElsewhere},
	0x101: {"CKR_USER_NOT_LOGGED_IN", NotLoggedIn},
	0x102: {"CKR_USER_PIN_NOT_INITIALIZED", PINNotSet},
	0x103: {"CKR_USER_TYPE_INVALID", Unsupported},
	0x104: {"CKR_USER_ANOTHER_ALREADY_LOGGED_IN", LoggedInElsewhere},
	0x105: {"CKR_USER_TOO_MANY_TYPES", LoggedInElsewhere},
	0x110: {"CKR_WRAPPED_KEY_INVALID", BadInput},
	0x112: {"CKR_WRAPPED_KEY_LEN_RANGE", BadInput},
	0x113: {"CKR_WRAPPING_KEY_HANDLE_INVALID", SessionLost},
	0x114: {"CKR_WRAPPING_KEY_SIZE_RANGE", Unsupported},
	0x115: {"CKR_WRAPPING_KEY_TYPE_INCONSISTENT", Unsupported},
	0x120: {"CKR_RANDOM_SEED_NOT_SUPPORTED", Unsupported},
	0x121: {"CKR_RANDOM_NO_RNG", Unsupported},
	0x130: {"CKR_DOMAIN_PARAMS_INVALID", Unsupported},
	0x140: {"CKR_CURVE_NOT_SUPPORTED", Unsupported},
	0x150: {"CKR_BUFFER_TOO_SMALL", Internal},
	0x160: {"CKR_SAVED_STATE_INVALID", Internal},
	0x170: {"CKR_INFORMATION_SENSITIVE", Refused},
	0x180: {"CKR_STATE_UNSAVEABLE", Unsupported},
	0x190: {"CKR_CRYPTOKI_NOT_INITIALIZED", TokenGone},
	0x191: {"CKR_CRYPTOKI_ALREADY_INITIALIZED", Internal},
	0x1a0: {"CKR_MUTEX_BAD", Internal},
	0x1a1: {"CKR_MUTEX_NOT_LOCKED", Internal},
	0x1b0: {"CKR_NEW_PIN_MODE", PINExpired},
	0x1b1: {"CKR_NEXT_OTP", Internal},
	0x1b5: {"CKR_EXCEEDED_MAX_ITERATIONS", Internal},
	0x1b6: {"CKR_FIPS_SELF_TEST_FAILED", TokenGone},
	0x1b7: {"CKR_LIBRARY_LOAD_FAILED", ModuleMissing},
	0x1b8: {"CKR_PIN_TOO_WEAK", PINIncorrect},
	0x1b9: {"CKR_PUBLIC_KEY_INVALID", BadInput},
	0x200: {"CKR_FUNCTION_REJECTED", Refused},
	0x201: {"CKR_TOKEN_RESOURCE_EXCEEDED", Full},
	0x202: {"CKR_OPERATION_CANCEL_FAILED", SessionLost},
	0x203: {"CKR_KEY_EXHAUSTED", Refused},
	0x204: {"CKR_PENDING", Internal},
	0x205: {"CKR_SESSION_ASYNC_NOT_SUPPORTED", Unsupported},
	0x206: {"CKR_SEED_RANDOM_REQUIRED", Internal},
	0x207: {"CKR_OPERATION_NOT_VALIDATED", Refused},
	0x208: {"CKR_TOKEN_NOT_INITIALIZED", NotInitialized},
	0x209: {"CKR_PARAMETER_SET_NOT_SUPPORTED", Unsupported},
}

// Error implements error with the specification's name of the code.
func (c CKR) Error() string {
	if row, ok := ckrTable[c]; ok {
		return row.name
	}
	return fmt.Sprintf("CKR_%#x", uint(c))
}

// Class says what the code means, vendors' differences aside.
func (c CKR) Class() Class { return ckrTable[c].class }
