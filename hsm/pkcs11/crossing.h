/* The part of PKCS#11 2.40 and 3.2 that the single crossings need, by the layout
   that the specification gives for Unix: natural alignment, CK_ULONG = unsigned
   long. */
#ifndef STRONGROOM_CROSSING_H
#define STRONGROOM_CROSSING_H

typedef unsigned long sr_ulong;
typedef unsigned char sr_byte;

struct sr_version { sr_byte major, minor; };

/* CK_FUNCTION_LIST as the version and its 68 pointers in the specified order. */
struct sr_functions { struct sr_version version; void *fn[68]; };

/* CK_FUNCTION_LIST_3_2, as far as it is used, and the CK_INTERFACE that has it. */
struct sr_functions_3_2 { struct sr_version version; void *fn[94]; };
struct sr_interface { const char *name; void *list; sr_ulong flags; };

struct sr_mechanism { sr_ulong type; void *param; sr_ulong param_len; };
struct sr_gcm { sr_byte *iv; sr_ulong iv_len; sr_ulong iv_bits; sr_byte *aad; sr_ulong aad_len; sr_ulong tag_bits; };
struct sr_attribute { sr_ulong type; void *value; sr_ulong len; };

/* What a crossing came to: the code, and the length of the result. */
struct sr_result { sr_ulong rv; sr_ulong len; };

/* Positions in the function list, C_Initialize being 0. */
enum {
	SR_CREATE_OBJECT = 20,
	SR_GET_ATTRIBUTE_VALUE = 24,
	SR_ENCRYPT_INIT = 29, SR_ENCRYPT = 30,
	SR_DECRYPT_INIT = 33, SR_DECRYPT = 34,
	SR_SIGN_INIT = 42, SR_SIGN = 43,
	SR_WRAP_KEY = 60,
	SR_GENERATE_RANDOM = 64,
	SR_ENCAPSULATE_KEY = 92, SR_DECAPSULATE_KEY = 93 /* in 3.2's list */
};

/* sr_load returns the function list of a library that is already loaded. */
struct sr_functions *sr_load(const char *path, const char **why);

/* sr_load_3_2 returns the library's function list of PKCS#11 3.2, or NULL: most
   have none. */
struct sr_functions_3_2 *sr_load_3_2(const char *path);

/* What an encapsulation came to: the code, the length of the ciphertext, and the
   handle of the secret. */
struct sr_capsule { sr_ulong rv; sr_ulong len; sr_ulong key; };

/* sr_encapsulate and sr_decapsulate have the secret's n attributes as sr_create
   has its object's. */
struct sr_capsule sr_encapsulate(struct sr_functions_3_2 *f, sr_ulong session, sr_ulong mechanism, sr_ulong key,
	const sr_ulong *types, const sr_ulong *lens, sr_ulong n, sr_byte *values, sr_byte *out, sr_ulong out_len);
struct sr_capsule sr_decapsulate(struct sr_functions_3_2 *f, sr_ulong session, sr_ulong mechanism, sr_ulong key,
	const sr_ulong *types, const sr_ulong *lens, sr_ulong n, sr_byte *values, sr_byte *in, sr_ulong in_len);

/* sr_gcm makes init and call with AES-GCM; init is SR_ENCRYPT_INIT or
   SR_DECRYPT_INIT. iv is written back to if the token makes it. */
struct sr_result sr_gcm(struct sr_functions *f, int init, sr_ulong session, sr_ulong key,
	sr_byte *iv, sr_ulong iv_len, sr_byte *aad, sr_ulong aad_len,
	sr_byte *in, sr_ulong in_len, sr_byte *out, sr_ulong out_len);

/* sr_oneshot makes init and call with a parameter block that holds no pointers;
   init is any of the three. */
struct sr_result sr_oneshot(struct sr_functions *f, int init, sr_ulong session, sr_ulong key,
	sr_ulong mechanism, sr_byte *param, sr_ulong param_len,
	sr_byte *in, sr_ulong in_len, sr_byte *out, sr_ulong out_len);

struct sr_result sr_wrap(struct sr_functions *f, sr_ulong session, sr_ulong mechanism,
	sr_byte *param, sr_ulong param_len, sr_ulong wrapping, sr_ulong key, sr_byte *out, sr_ulong out_len);

sr_ulong sr_random(struct sr_functions *f, sr_ulong session, sr_byte *out, sr_ulong len);

/* sr_attributes reads n attributes into slices of room bytes each, of which
   lens[i] may be used. Afterwards lens[i] is the length, or ~0 for an attribute
   that the object has not or does not show. */
sr_ulong sr_attributes(struct sr_functions *f, sr_ulong session, sr_ulong object,
	const sr_ulong *types, sr_ulong *lens, sr_ulong n, sr_byte *values, sr_ulong room);

/* sr_create makes an object of n attributes whose values stand one after the
   other. Nothing of them is copied: they may be a key. */
struct sr_result sr_create(struct sr_functions *f, sr_ulong session,
	const sr_ulong *types, const sr_ulong *lens, sr_ulong n, sr_byte *values);

#endif
