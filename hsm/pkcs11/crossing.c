#include <dlfcn.h>
#include <stddef.h>
#include "crossing.h"

typedef sr_ulong (*get_list_fn)(struct sr_functions **);
typedef sr_ulong (*get_interface_fn)(const char *, struct sr_version *, struct sr_interface **, sr_ulong);
typedef sr_ulong (*init_fn)(sr_ulong, struct sr_mechanism *, sr_ulong);
typedef sr_ulong (*data_fn)(sr_ulong, sr_byte *, sr_ulong, sr_byte *, sr_ulong *);
typedef sr_ulong (*wrap_fn)(sr_ulong, struct sr_mechanism *, sr_ulong, sr_ulong, sr_byte *, sr_ulong *);
typedef sr_ulong (*random_fn)(sr_ulong, sr_byte *, sr_ulong);
typedef sr_ulong (*create_fn)(sr_ulong, struct sr_attribute *, sr_ulong, sr_ulong *);
typedef sr_ulong (*attributes_fn)(sr_ulong, sr_ulong, struct sr_attribute *, sr_ulong);

typedef sr_ulong (*encapsulate_fn)(sr_ulong, struct sr_mechanism *, sr_ulong, struct sr_attribute *, sr_ulong,
	sr_byte *, sr_ulong *, sr_ulong *);
typedef sr_ulong (*decapsulate_fn)(sr_ulong, struct sr_mechanism *, sr_ulong, struct sr_attribute *, sr_ulong,
	sr_byte *, sr_ulong, sr_ulong *);

#define SR_MAX_ATTRIBUTES 32
#define CKR_ATTRIBUTE_SENSITIVE 0x11
#define CKR_ATTRIBUTE_TYPE_INVALID 0x12
#define CKR_BUFFER_TOO_SMALL 0x150
#define CKM_AES_GCM 0x1087

struct sr_functions *sr_load(const char *path, const char **why)
{
	struct sr_functions *list = NULL;
	get_list_fn get;
	void *lib = dlopen(path, RTLD_LAZY);

	if (lib == NULL) {
		*why = dlerror();
		return NULL;
	}
	/* The handle is kept: a library that was used is never unloaded. */
	get = (get_list_fn)dlsym(lib, "C_GetFunctionList");
	if (get == NULL) {
		*why = "it has no C_GetFunctionList";
		return NULL;
	}
	if (get(&list) != 0 || list == NULL) {
		*why = "C_GetFunctionList failed";
		return NULL;
	}
	return list;
}

struct sr_functions_3_2 *sr_load_3_2(const char *path)
{
	struct sr_version wanted = {3, 2};
	struct sr_interface *found = NULL;
	struct sr_functions_3_2 *list;
	get_interface_fn get;
	void *lib = dlopen(path, RTLD_LAZY);

	if (lib == NULL)
		return NULL;
	get = (get_interface_fn)dlsym(lib, "C_GetInterface");
	if (get == NULL || get("PKCS 11", &wanted, &found, 0) != 0 || found == NULL || found->list == NULL)
		return NULL;
	/* The list is as long as its own version says, whatever was asked for. */
	list = found->list;
	if (list->version.major != 3 || list->version.minor < 2)
		return NULL;
	return list;
}

/* The call follows its init in the list. */
static struct sr_result run(struct sr_functions *f, int init, sr_ulong session, sr_ulong key,
	struct sr_mechanism *mech, sr_byte *in, sr_ulong in_len, sr_byte *out, sr_ulong out_len)
{
	struct sr_result r = {0, out_len};

	r.rv = ((init_fn)f->fn[init])(session, mech, key);
	if (r.rv == 0)
		r.rv = ((data_fn)f->fn[init + 1])(session, in, in_len, out, &r.len);
	return r;
}

struct sr_result sr_gcm(struct sr_functions *f, int init, sr_ulong session, sr_ulong key,
	sr_byte *iv, sr_ulong iv_len, sr_byte *aad, sr_ulong aad_len,
	sr_byte *in, sr_ulong in_len, sr_byte *out, sr_ulong out_len)
{
	struct sr_gcm p = {iv, iv_len, iv_len * 8, aad_len ? aad : NULL, aad_len, 128};
	struct sr_mechanism m = {CKM_AES_GCM, &p, sizeof p};

	return run(f, init, session, key, &m, in, in_len, out, out_len);
}

struct sr_result sr_oneshot(struct sr_functions *f, int init, sr_ulong session, sr_ulong key,
	sr_ulong mechanism, sr_byte *param, sr_ulong param_len,
	sr_byte *in, sr_ulong in_len, sr_byte *out, sr_ulong out_len)
{
	struct sr_mechanism m = {mechanism, param_len ? param : NULL, param_len};

	return run(f, init, session, key, &m, in, in_len, out, out_len);
}

struct sr_result sr_wrap(struct sr_functions *f, sr_ulong session, sr_ulong mechanism,
	sr_byte *param, sr_ulong param_len, sr_ulong wrapping, sr_ulong key, sr_byte *out, sr_ulong out_len)
{
	struct sr_mechanism m = {mechanism, param_len ? param : NULL, param_len};
	struct sr_result r = {0, out_len};

	r.rv = ((wrap_fn)f->fn[SR_WRAP_KEY])(session, &m, wrapping, key, out, &r.len);
	return r;
}

sr_ulong sr_random(struct sr_functions *f, sr_ulong session, sr_byte *out, sr_ulong len)
{
	return ((random_fn)f->fn[SR_GENERATE_RANDOM])(session, out, len);
}

sr_ulong sr_attributes(struct sr_functions *f, sr_ulong session, sr_ulong object,
	const sr_ulong *types, sr_ulong *lens, sr_ulong n, sr_byte *values, sr_ulong room)
{
	struct sr_attribute a[SR_MAX_ATTRIBUTES];
	sr_ulong rv, i;

	for (i = 0; i < n; i++) {
		a[i].type = types[i];
		a[i].value = values + i * room;
		a[i].len = lens[i];
	}
	rv = ((attributes_fn)f->fn[SR_GET_ATTRIBUTE_VALUE])(session, object, a, n);
	for (i = 0; i < n; i++)
		lens[i] = a[i].len;
	/* Section 5.7.5: these three fill what can be filled, and say which. */
	if (rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_BUFFER_TOO_SMALL)
		return 0;
	return rv;
}

/* fill makes a template of values that stand one after the other. */
static void fill(struct sr_attribute *a, const sr_ulong *types, const sr_ulong *lens, sr_ulong n, sr_byte *values)
{
	sr_ulong i;

	for (i = 0; i < n; i++) {
		a[i].type = types[i];
		a[i].value = lens[i] ? values : NULL;
		a[i].len = lens[i];
		values += lens[i];
	}
}

struct sr_capsule sr_encapsulate(struct sr_functions_3_2 *f, sr_ulong session, sr_ulong mechanism, sr_ulong key,
	const sr_ulong *types, const sr_ulong *lens, sr_ulong n, sr_byte *values, sr_byte *out, sr_ulong out_len)
{
	struct sr_attribute a[SR_MAX_ATTRIBUTES];
	struct sr_mechanism m = {mechanism, NULL, 0};
	struct sr_capsule r = {0, out_len, 0};

	fill(a, types, lens, n, values);
	r.rv = ((encapsulate_fn)f->fn[SR_ENCAPSULATE_KEY])(session, &m, key, a, n, out, &r.len, &r.key);
	return r;
}

struct sr_capsule sr_decapsulate(struct sr_functions_3_2 *f, sr_ulong session, sr_ulong mechanism, sr_ulong key,
	const sr_ulong *types, const sr_ulong *lens, sr_ulong n, sr_byte *values, sr_byte *in, sr_ulong in_len)
{
	struct sr_attribute a[SR_MAX_ATTRIBUTES];
	struct sr_mechanism m = {mechanism, NULL, 0};
	struct sr_capsule r = {0, in_len, 0};

	fill(a, types, lens, n, values);
	r.rv = ((decapsulate_fn)f->fn[SR_DECAPSULATE_KEY])(session, &m, key, a, n, in, in_len, &r.key);
	return r;
}

struct sr_result sr_create(struct sr_functions *f, sr_ulong session,
	const sr_ulong *types, const sr_ulong *lens, sr_ulong n, sr_byte *values)
{
	struct sr_attribute a[SR_MAX_ATTRIBUTES];
	struct sr_result r = {0, 0}; /* len is the handle */

	fill(a, types, lens, n, values);
	r.rv = ((create_fn)f->fn[SR_CREATE_OBJECT])(session, a, n, &r.len);
	return r;
}
