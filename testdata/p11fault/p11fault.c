/*
 * p11fault: a PKCS#11 module that stands in front of another one and fails on
 * demand. What it does is in README.md. Every function forwards its arguments
 * as machine words: on the platforms this is for, all of them are unsigned
 * longs or pointers, but for the CK_BBOOL of C_GetSlotList.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long W;

struct version { unsigned char major, minor; };
struct functions { struct version version; void *fn[68]; };

/* X(name, number of arguments, position of an object handle among them or 0,
     position of a pointer to a new object's handle or 0) */
#define FUNCTIONS(X) \
	X(Initialize,1,0,0) X(Finalize,1,0,0) X(GetInfo,1,0,0) X(GetFunctionList,1,0,0) X(GetSlotList,3,0,0) \
	X(GetSlotInfo,2,0,0) X(GetTokenInfo,2,0,0) X(GetMechanismList,3,0,0) X(GetMechanismInfo,3,0,0) \
	X(InitToken,4,0,0) X(InitPIN,3,0,0) X(SetPIN,5,0,0) X(OpenSession,5,0,0) X(CloseSession,1,0,0) \
	X(CloseAllSessions,1,0,0) X(GetSessionInfo,2,0,0) X(GetOperationState,3,0,0) X(SetOperationState,5,0,0) \
	X(Login,4,0,0) X(Logout,1,0,0) X(CreateObject,4,0,4) X(CopyObject,5,2,5) X(DestroyObject,2,2,0) \
	X(GetObjectSize,3,2,0) X(GetAttributeValue,4,2,0) X(SetAttributeValue,4,2,0) X(FindObjectsInit,3,0,0) \
	X(FindObjects,4,0,0) X(FindObjectsFinal,1,0,0) X(EncryptInit,3,3,0) X(Encrypt,5,0,0) \
	X(EncryptUpdate,5,0,0) X(EncryptFinal,3,0,0) X(DecryptInit,3,3,0) X(Decrypt,5,0,0) \
	X(DecryptUpdate,5,0,0) X(DecryptFinal,3,0,0) X(DigestInit,2,0,0) X(Digest,5,0,0) X(DigestUpdate,3,0,0) \
	X(DigestKey,2,2,0) X(DigestFinal,3,0,0) X(SignInit,3,3,0) X(Sign,5,0,0) X(SignUpdate,3,0,0) \
	X(SignFinal,3,0,0) X(SignRecoverInit,3,3,0) X(SignRecover,5,0,0) X(VerifyInit,3,3,0) X(Verify,5,0,0) \
	X(VerifyUpdate,3,0,0) X(VerifyFinal,3,0,0) X(VerifyRecoverInit,3,3,0) X(VerifyRecover,5,0,0) \
	X(DigestEncryptUpdate,5,0,0) X(DecryptDigestUpdate,5,0,0) X(SignEncryptUpdate,5,0,0) \
	X(DecryptVerifyUpdate,5,0,0) X(GenerateKey,5,0,5) X(GenerateKeyPair,8,0,0) X(WrapKey,6,3,0) \
	X(UnwrapKey,8,3,8) X(DeriveKey,6,3,6) X(SeedRandom,3,0,0) X(GenerateRandom,3,0,0) \
	X(GetFunctionStatus,1,0,0) X(CancelFunction,1,0,0) X(WaitForSlotEvent,3,0,0)

/* Of PKCS#11 3.2, beyond the list above; its list has them at 92 and 93. */
#define NEWER(X) X(EncapsulateKey,8,3,8) X(DecapsulateKey,8,3,8)

struct functions_3_2 { struct version version; void *fn[104]; };
struct interface { const char *name; void *list; W flags; };

enum index {
#define X(n,a,h,o) I_##n,
	FUNCTIONS(X)
	NEWER(X)
#undef X
	I_COUNT,
	OLDER = I_EncapsulateKey, AT_ENCAPSULATE = 92, AT_DECAPSULATE = 93
};

static const char *const names[] = {
#define X(n,a,h,o) "C_" #n,
	FUNCTIONS(X)
	NEWER(X)
#undef X
};

#define OK 0UL
#define GENERAL_ERROR 0x05UL
#define DEVICE_REMOVED 0x32UL
#define FUNCTION_NOT_SUPPORTED 0x54UL
#define BUFFER_TOO_SMALL 0x150UL
#define OBJECT_HANDLE_INVALID 0x82UL
#define PIN_LOCKED 0xa4UL
#define SESSION_COUNT 0xb1UL
#define TOKEN_WRITE_PROTECTED 0xe2UL
#define AES_GCM 0x1087UL
#define WRITE_PROTECTED_FLAG 0x2UL

struct mechanism { W type; void *param; W len; };
struct gcm { unsigned char *iv; W iv_len; W iv_bits; unsigned char *aad; W aad_len; W tag_bits; };

enum what { FAIL, HANG, SLOW, SESSIONS, LOSE, GONE, QUIET, LOCK, REUSE, OWNIV, PROTECT, CLEAR, BADLINE };

struct rule {
	char line[256];
	enum what what;
	int fn;             /* -1: any */
	W code;             /* FAIL: the code; SLOW: milliseconds; SESSIONS: how many */
	long skip, times;   /* calls to let pass, and then to hit; -1: all */
	int done;           /* FAIL: after the real call was made */
	int sticky;         /* GONE, QUIET: until C_Initialize */
	int used;           /* LOSE: it was done */
};

#define MAX_RULES 64
#define MAX_OBJECTS 65536

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* Read by every call into the real module, written while sessions are closed
   under their users: real modules free them, also beneath a call that runs. It
   comes after mutex, and nobody asks for mutex who has it. */
static pthread_rwlock_t inside = PTHREAD_RWLOCK_INITIALIZER;
static struct functions *real;
static struct functions_3_2 *real_3_2; /* NULL: the module in front of which this one stands has none */
static struct functions list;
static struct functions_3_2 list_3_2;
static char control[4096], logpath[4096];
static struct rule rules[MAX_RULES];
static int rule_count, open_sessions, stuck_gone, stuck_quiet, was_quiet;
static struct stat seen;
static W objects[MAX_OBJECTS]; /* reuse-handles: the real handles */
static W object_count;

/* ---- settings: P11FAULT_* in the environment, or a file beside the module ---- */

static void setting(const char *key, const char *value, char *module, size_t n)
{
	if (strcmp(key, "P11FAULT_MODULE") == 0)
		snprintf(module, n, "%s", value);
	else if (strcmp(key, "P11FAULT_CONTROL") == 0)
		snprintf(control, sizeof control, "%s", value);
	else if (strcmp(key, "P11FAULT_LOG") == 0)
		snprintf(logpath, sizeof logpath, "%s", value);
}

static void settings(char *module, size_t n)
{
	static const char *const keys[] = {"P11FAULT_MODULE", "P11FAULT_CONTROL", "P11FAULT_LOG"};
	char path[4200], line[4200], *eq, *v;
	Dl_info self;
	FILE *f;
	size_t i;

	if (dladdr((void *)settings, &self) && self.dli_fname) {
		snprintf(path, sizeof path, "%s.conf", self.dli_fname);
		if ((f = fopen(path, "r")) != NULL) {
			while (fgets(line, sizeof line, f)) {
				line[strcspn(line, "\n")] = 0;
				if ((eq = strchr(line, '=')) != NULL) {
					*eq = 0;
					setting(line, eq + 1, module, n);
				}
			}
			fclose(f);
			return;
		}
	}
	for (i = 0; i < 3; i++)
		if ((v = getenv(keys[i])) != NULL)
			setting(keys[i], v, module, n);
}

/* ---- the control file ---- */

static int function(const char *name)
{
	int i;

	if (strcmp(name, "*") == 0)
		return -1;
	for (i = 0; i < I_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return I_COUNT; /* never called */
}

static void parse(struct rule *r)
{
	char buf[256], *save = NULL, *word, *arg;
	static const struct { const char *name; enum what what; } words[] = {
		{"fail", FAIL}, {"hang", HANG}, {"slow", SLOW}, {"sessions", SESSIONS}, {"lose-sessions", LOSE},
		{"gone", GONE}, {"gone-quietly", QUIET}, {"lock-pin", LOCK}, {"reuse-handles", REUSE},
		{"own-iv", OWNIV}, {"write-protected", PROTECT}, {"clear-capsules", CLEAR},
	};
	size_t i;

	memcpy(buf, r->line, sizeof buf);
	word = strtok_r(buf, " \t", &save);
	r->what = BADLINE;
	r->fn = -1;
	r->times = -1;
	for (i = 0; word && i < sizeof words / sizeof *words; i++)
		if (strcmp(word, words[i].name) == 0)
			r->what = words[i].what;
	if ((r->what == FAIL || r->what == HANG || r->what == SLOW) && (arg = strtok_r(NULL, " \t", &save)))
		r->fn = function(arg);
	if ((r->what == FAIL || r->what == SLOW || r->what == SESSIONS) && (arg = strtok_r(NULL, " \t", &save)))
		r->code = strtoul(arg, NULL, 0);
	while ((word = strtok_r(NULL, " \t", &save)) != NULL) {
		if (strcmp(word, "done") == 0)
			r->done = 1;
		else if (strcmp(word, "sticky") == 0)
			r->sticky = 1;
		else if (strcmp(word, "skip") == 0 && (arg = strtok_r(NULL, " \t", &save)))
			r->skip = strtol(arg, NULL, 10);
		else if (strcmp(word, "times") == 0 && (arg = strtok_r(NULL, " \t", &save)))
			r->times = strtol(arg, NULL, 10);
	}
}

/* Reads the file again if it changed. A line that stays keeps its counts. */
static void refresh(void)
{
	struct rule fresh[MAX_RULES];
	char line[256];
	struct stat st;
	int n = 0, i;
	FILE *f;

	if (control[0] == 0 || stat(control, &st) != 0)
		memset(&st, 0, sizeof st);
	if (st.st_ino == seen.st_ino && st.st_size == seen.st_size &&
	    st.st_mtim.tv_sec == seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == seen.st_mtim.tv_nsec)
		return;
	seen = st;
	f = st.st_ino ? fopen(control, "r") : NULL;
	while (f && n < MAX_RULES && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\r\n")] = 0;
		if (line[0] == 0 || line[0] == '#')
			continue;
		memset(&fresh[n], 0, sizeof fresh[n]);
		memcpy(fresh[n].line, line, sizeof line);
		parse(&fresh[n]);
		for (i = 0; i < rule_count; i++)
			if (strcmp(rules[i].line, line) == 0)
				fresh[n] = rules[i];
		n++;
	}
	if (f)
		fclose(f);
	memcpy(rules, fresh, sizeof(struct rule) * (size_t)n);
	rule_count = n;
}

static struct rule *find(enum what what)
{
	int i;

	for (i = 0; i < rule_count; i++)
		if (rules[i].what == what)
			return &rules[i];
	return NULL;
}

static int hits(struct rule *r, int fn)
{
	if (r->fn != -1 && r->fn != fn)
		return 0;
	if (r->skip > 0) {
		r->skip--;
		return 0;
	}
	if (r->times == 0)
		return 0;
	if (r->times > 0)
		r->times--;
	return 1;
}

static void note(int fn)
{
	int fd;
	char buf[64];

	if (logpath[0] == 0 || (fd = open(logpath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
		return;
	snprintf(buf, sizeof buf, "%s\n", names[fn]);
	if (write(fd, buf, strlen(buf)) < 0)
		perror("p11fault: log");
	close(fd);
}

/* ---- faults ---- */

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};

	nanosleep(&t, NULL);
}

static void lose_sessions(void)
{
	W slots[256], n = 256, i;

	pthread_rwlock_wrlock(&inside);
	if (((W (*)(unsigned char, W *, W *))real->fn[I_GetSlotList])(1, slots, &n) == OK) {
		for (i = 0; i < n; i++)
			((W (*)(W))real->fn[I_CloseAllSessions])(slots[i]);
		open_sessions = 0;
	}
	pthread_rwlock_unlock(&inside);
}

/* What a token that went away answers; its module is still there. */
static int gone(int fn, W *rv)
{
	if (fn == I_Initialize || fn == I_Finalize || fn == I_GetInfo || fn == I_GetFunctionList || fn == I_GetSlotList)
		return 0;
	*rv = DEVICE_REMOVED;
	return 1;
}

/* What SoftHSM2 answers when its directory is away: it finds nothing and says
   that all is well, until a key is used. */
static int quiet(int fn, W *rv)
{
	switch (fn) {
	case I_EncryptInit: case I_DecryptInit: case I_SignInit: case I_VerifyInit: case I_GetAttributeValue:
	case I_SetAttributeValue: case I_CopyObject: case I_DestroyObject: case I_WrapKey: case I_DeriveKey:
		*rv = OBJECT_HANDLE_INVALID;
		return 1;
	case I_GenerateKey: case I_GenerateKeyPair: case I_CreateObject: case I_UnwrapKey: case I_Login:
		*rv = GENERAL_ERROR;
		return 1;
	}
	return 0;
}

/* As AWS CloudHSM: the caller's IV is ignored, and the token's own written to
   where it stood. */
static void own_iv(struct mechanism *m)
{
	struct gcm *p;
	int fd;

	if (m == NULL || m->type != AES_GCM || m->len != sizeof *p)
		return;
	p = m->param;
	if ((fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC)) < 0)
		return;
	if (read(fd, p->iv, p->iv_len) < 0)
		perror("p11fault: urandom");
	close(fd);
}

/* before decides about a call: 1 if it is not to be made. *after, if set, is
   the code to give once it was made. */
static int before(int fn, const W *args, W *rv, W *after)
{
	struct rule *r;
	long ms = 0;
	int i, hung = 0, over = 0;

	pthread_mutex_lock(&mutex);
	refresh();
	note(fn);
	if ((r = find(LOSE)) != NULL && !r->used) {
		r->used = 1;
		lose_sessions();
	}
	if (was_quiet && find(QUIET) == NULL && !stuck_quiet) {
		was_quiet = 0; /* SoftHSM2 does not take up again what it had before */
		lose_sessions();
	}
	if ((r = find(GONE)) != NULL && r->sticky)
		stuck_gone = 1;
	if ((r = find(QUIET)) != NULL && r->sticky)
		stuck_quiet = 1;
	if (fn == I_Initialize) {
		stuck_gone = stuck_quiet = 0;
		if (find(GONE) != NULL)
			stuck_gone = find(GONE)->sticky;
		if (find(QUIET) != NULL)
			stuck_quiet = find(QUIET)->sticky;
	}
	if (find(GONE) != NULL || stuck_gone)
		over = gone(fn, rv);
	if (!over && (find(QUIET) != NULL || stuck_quiet)) {
		was_quiet = 1;
		over = quiet(fn, rv);
	}
	if (!over && fn == I_Login && find(LOCK) != NULL) {
		*rv = PIN_LOCKED;
		over = 1;
	}
	if (!over && fn == I_OpenSession && find(PROTECT) != NULL && (args[1] & 2)) { /* CKF_RW_SESSION */
		*rv = TOKEN_WRITE_PROTECTED;
		over = 1;
	}
	if (!over && fn == I_EncryptInit && find(OWNIV) != NULL)
		own_iv((struct mechanism *)args[1]);
	if (!over && fn == I_OpenSession && (r = find(SESSIONS)) != NULL && (W)open_sessions >= r->code) {
		*rv = SESSION_COUNT;
		over = 1;
	}
	for (i = 0; !over && i < rule_count; i++) {
		r = &rules[i];
		if (r->what == FAIL && hits(r, fn)) {
			if (r->done) {
				*after = r->code;
			} else {
				*rv = r->code;
				over = 1;
			}
		} else if (r->what == SLOW && hits(r, fn)) {
			ms += (long)r->code;
		} else if (r->what == HANG && hits(r, fn)) {
			hung = 1;
		}
	}
	pthread_mutex_unlock(&mutex);
	if (ms)
		pause_ms(ms);
	while (hung) { /* until no rule hangs this function any more */
		pause_ms(5);
		pthread_mutex_lock(&mutex);
		refresh();
		for (hung = 0, i = 0; i < rule_count; i++)
			if (rules[i].what == HANG && (rules[i].fn == -1 || rules[i].fn == fn))
				hung = 1;
		pthread_mutex_unlock(&mutex);
	}
	return over;
}

/* ---- object handles that are given out again ---- */

static W to_real(W h)
{
	W out = h;

	pthread_mutex_lock(&mutex);
	if (find(REUSE) != NULL)
		out = h >= 1 && h <= object_count ? objects[h - 1] : 0;
	pthread_mutex_unlock(&mutex);
	return out;
}

static W from_real(W h)
{
	W out = h, i;

	pthread_mutex_lock(&mutex);
	if (find(REUSE) != NULL) {
		for (i = 0; i < object_count && objects[i] != h; i++)
			;
		if (i == object_count && object_count < MAX_OBJECTS)
			objects[object_count++] = h;
		out = i + 1;
	}
	pthread_mutex_unlock(&mutex);
	return out;
}

/* after keeps count once a call was made, and changes its answer. */
static W finish(int fn, W rv, W after, W *a)
{
	W i;

	if (rv == OK && fn == I_OpenSession)
		__atomic_add_fetch(&open_sessions, 1, __ATOMIC_SEQ_CST);
	if (rv == OK && fn == I_CloseSession)
		__atomic_sub_fetch(&open_sessions, 1, __ATOMIC_SEQ_CST);
	if (fn == I_CloseAllSessions || fn == I_Finalize)
		open_sessions = 0;
	if (rv == OK && (fn == I_Login || fn == I_Initialize)) {
		pthread_mutex_lock(&mutex);
		object_count = 0;
		pthread_mutex_unlock(&mutex);
	}
	if (rv == OK && fn == I_FindObjects) {
		pthread_mutex_lock(&mutex);
		if (find(QUIET) != NULL || stuck_quiet)
			*(W *)a[3] = 0;
		pthread_mutex_unlock(&mutex);
		for (i = 0; i < *(W *)a[3]; i++)
			((W *)a[1])[i] = from_real(((W *)a[1])[i]);
	}
	if (fn == I_GetSlotList) {
		pthread_mutex_lock(&mutex);
		if (find(GONE) != NULL || stuck_gone) {
			*(W *)a[2] = 0;
			rv = OK;
		}
		pthread_mutex_unlock(&mutex);
	}
	if (rv == OK && fn == I_GetTokenInfo) {
		pthread_mutex_lock(&mutex);
		if (find(PROTECT) != NULL) /* flags follow 96 bytes of text */
			*(W *)(a[1] + 96) |= WRITE_PROTECTED_FLAG;
		pthread_mutex_unlock(&mutex);
	}
	if (rv == OK && fn == I_GenerateKeyPair) {
		*(W *)a[6] = from_real(*(W *)a[6]);
		*(W *)a[7] = from_real(*(W *)a[7]);
	}
	return after ? after : rv;
}

/* ---- capsules in the clear ---- */

/* Under clear-capsules a module without PKCS#11 3.2 has the two functions, for
   tests of the calls: the secret is the beginning of the ciphertext, for all to
   see, and becomes an object by C_CreateObject. It is no cryptography. */
#define CAPSULE 768
#define SECRET 32
#define ATTRIBUTES 32

struct attribute { W type; void *value; W len; };

static W clear_capsule(W session, const struct attribute *template, W n, unsigned char *secret, W *key)
{
	struct attribute a[ATTRIBUTES + 1];
	W i, k = 0;

	for (i = 0; i < n && k < ATTRIBUTES; i++)
		if (template[i].type != 0x161) /* CKA_VALUE_LEN is not for C_CreateObject */
			a[k++] = template[i];
	a[k].type = 0x11; /* CKA_VALUE */
	a[k].value = secret;
	a[k++].len = SECRET;
	return ((W (*)(W, struct attribute *, W, W *))real->fn[I_CreateObject])(session, a, k, key);
}

static W clear_encapsulate(W session, W mech, W public, struct attribute *template, W n, unsigned char *out, W *len, W *key)
{
	W rv;

	if (*len < CAPSULE)
		return BUFFER_TOO_SMALL;
	memset(out, 0, CAPSULE);
	rv = ((W (*)(W, unsigned char *, W))real->fn[I_GenerateRandom])(session, out, SECRET);
	*len = CAPSULE;
	return rv != OK ? rv : clear_capsule(session, template, n, out, key);
}

static W clear_decapsulate(W session, W mech, W private, struct attribute *template, W n, unsigned char *in, W len, W *key)
{
	return len != CAPSULE ? 0x41UL /* CKR_ENCRYPTED_DATA_LEN_RANGE */ : clear_capsule(session, template, n, in, key);
}

static W not_supported(void) { return FUNCTION_NOT_SUPPORTED; }

/* where a function is */
static void *where(int fn)
{
	struct rule *r;

	if (fn < OLDER)
		return real->fn[fn];
	if (real_3_2 != NULL)
		return real_3_2->fn[fn - OLDER + AT_ENCAPSULATE];
	pthread_mutex_lock(&mutex);
	r = find(CLEAR);
	pthread_mutex_unlock(&mutex);
	if (r == NULL)
		return (void *)not_supported;
	return fn == I_EncapsulateKey ? (void *)clear_encapsulate : (void *)clear_decapsulate;
}

/* ---- the functions ---- */

#define P1 W a1
#define P2 P1, W a2
#define P3 P2, W a3
#define P4 P3, W a4
#define P5 P4, W a5
#define P6 P5, W a6
#define P8 P6, W a7, W a8
#define A1 a[0]
#define A2 A1, a[1]
#define A3 A2, a[2]
#define A4 A3, a[3]
#define A5 A4, a[4]
#define A6 A5, a[5]
#define A8 A6, a[6], a[7]
#define N1 a1
#define N2 N1, a2
#define N3 N2, a3
#define N4 N3, a4
#define N5 N4, a5
#define N6 N5, a6
#define N8 N6, a7, a8

#define X(name, args, handle, made) \
	static W w_##name(P##args) \
	{ \
		W a[] = {N##args}, rv = OK, after = OK; \
		void *to; \
		if (before(I_##name, a, &rv, &after)) \
			return rv; \
		if (handle) \
			a[handle ? handle - 1 : 0] = to_real(a[handle ? handle - 1 : 0]); \
		if (I_##name == I_WrapKey) \
			a[3 % args] = to_real(a[3 % args]); \
		if (I_##name == I_GetSlotList) \
			a[0] &= 0xff; \
		to = where(I_##name); \
		pthread_rwlock_rdlock(&inside); \
		rv = ((W (*)(P##args))to)(A##args); \
		pthread_rwlock_unlock(&inside); \
		if (rv == OK && made) \
			*(W *)a[made ? made - 1 : 0] = from_real(*(W *)a[made ? made - 1 : 0]); \
		return finish(I_##name, rv, after, a); \
	}
FUNCTIONS(X)
NEWER(X)
#undef X

static void *const wrappers[] = {
#define X(n,a,h,o) (void *)w_##n,
	FUNCTIONS(X)
#undef X
};

__attribute__((visibility("default"))) W C_GetFunctionList(struct functions **out)
{
	char module[4096] = "";
	W (*get)(struct functions **);
	void *lib;
	W rv = OK;

	pthread_mutex_lock(&mutex);
	if (real == NULL) {
		settings(module, sizeof module);
		lib = dlopen(module, RTLD_NOW | RTLD_LOCAL);
		get = lib ? (W (*)(struct functions **))dlsym(lib, "C_GetFunctionList") : NULL;
		if (get == NULL || get(&real) != OK) {
			fprintf(stderr, "p11fault: P11FAULT_MODULE=%s: %s\n", module, lib ? "no PKCS#11 module" : dlerror());
			real = NULL;
			rv = GENERAL_ERROR;
		} else {
			list.version = real->version;
			memcpy(list.fn, wrappers, sizeof list.fn);
			list.fn[I_GetFunctionList] = (void *)C_GetFunctionList;
		}
	}
	*out = real ? &list : NULL;
	pthread_mutex_unlock(&mutex);
	return rv;
}

/* The list of PKCS#11 3.2 has what this module has of it, and no other function
   of 3.0 and later; who asks for another interface gets none. */
__attribute__((visibility("default"))) W C_GetInterface(const char *name, struct version *version, struct interface **out, W flags)
{
	static struct interface found = {"PKCS 11", &list_3_2, 0};
	struct version wanted = {3, 2};
	struct interface *theirs = NULL;
	struct functions *ours = NULL;
	char module[4096] = "";
	W (*get)(const char *, struct version *, struct interface **, W);
	void *lib;

	if (out == NULL || (name != NULL && strcmp(name, found.name) != 0) ||
	    (version != NULL && (version->major != 3 || version->minor != 2)))
		return 0x07UL; /* CKR_ARGUMENTS_BAD */
	if (C_GetFunctionList(&ours) != OK)
		return GENERAL_ERROR;
	pthread_mutex_lock(&mutex);
	settings(module, sizeof module);
	lib = dlopen(module, RTLD_NOW | RTLD_LOCAL); /* the same once more */
	get = lib ? (W (*)(const char *, struct version *, struct interface **, W))dlsym(lib, "C_GetInterface") : NULL;
	if (get != NULL && get(found.name, &wanted, &theirs, 0) == OK && theirs != NULL) {
		real_3_2 = theirs->list;
		if (real_3_2->version.major != 3 || real_3_2->version.minor < 2)
			real_3_2 = NULL;
	}
	list_3_2.version = wanted;
	memcpy(list_3_2.fn, list.fn, sizeof list.fn);
	list_3_2.fn[AT_ENCAPSULATE] = (void *)w_EncapsulateKey;
	list_3_2.fn[AT_DECAPSULATE] = (void *)w_DecapsulateKey;
	*out = &found;
	pthread_mutex_unlock(&mutex);
	return OK;
}
