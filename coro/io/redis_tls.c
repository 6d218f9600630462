#include "coro/io/redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "coro/io/redis_internal.h"

const char *coro_redis_tls_missing(void)
{
    return NULL;
}

/* Trying again with the same files, or certificates, is no help. */
static int refuse(struct coro_redis *redis, const char *what, const char *why)
{
    char reason[CORO_REDIS_REASON_MAX];
    snprintf(reason, sizeof reason, "%s: %.200s", what,
             why ? why : "OpenSSL does not say why");
    coro_redis_set_reason(redis, reason);
    redis->refused_us = true;
    return -EPROTO;
}

/* Why the last call of OpenSSL failed; NULL when it doesn't say. */
static const char *last_error(void)
{
    unsigned long error = ERR_peek_last_error();
    if (ERR_SYSTEM_ERROR(error))
        return strerror(ERR_GET_REASON(error));
    return error ? ERR_reason_error_string(error) : NULL;
}

/* The first error names the file's trouble, those after it what that led to. */
static int refuse_file(struct coro_redis *redis, const char *path)
{
    unsigned long error = ERR_peek_error();
    char what[CORO_REDIS_REASON_MAX - 202];
    snprintf(what, sizeof what, "can't use the file %s", path);
    return refuse(redis, what,
                  ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error))
                                          : ERR_reason_error_string(error));
}

static int set_trust(struct coro_redis *redis, SSL_CTX *context)
{
    const char *cafile = redis->options.address->cafile;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (!cafile)
        return SSL_CTX_set_default_verify_paths(context) == 1
                   ? 0
                   : refuse(redis, "can't read whom the system trusts",
                            last_error());
    return SSL_CTX_load_verify_locations(context, cafile, NULL) == 1
               ? 0
               : refuse_file(redis, cafile);
}

static int set_identity(struct coro_redis *redis, SSL_CTX *context)
{
    const struct coro_redis_address *address = redis->options.address;
    if (!address->cert)
        return 0;
    if (SSL_CTX_use_certificate_chain_file(context, address->cert) != 1)
        return refuse_file(redis, address->cert);
    if (SSL_CTX_use_PrivateKey_file(context, address->key, SSL_FILETYPE_PEM) !=
        1)
        return refuse_file(redis, address->key);
    return 0;
}

/* The certificate must be for @host; only a name can be told to the server. */
static bool set_host(SSL *ssl, const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, bytes) == 1 ||
        inet_pton(AF_INET6, host, bytes) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int set_up(struct coro_redis *redis, SSL_CTX *context, SSL **ret_ssl)
{
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
        return refuse(redis, "can't set TLS up", last_error());
    int status = set_trust(redis, context);
    if (status == 0)
        status = set_identity(redis, context);
    if (status < 0)
        return status;
    SSL *ssl = SSL_new(context);
    if (!ssl)
        return -ENOMEM;
    if (!set_host(ssl, redis->place.host)) {
        SSL_free(ssl);
        return -ENOMEM;
    }
    *ret_ssl = ssl;
    return 0;
}

/* hiredis frees its @ssl with the context; we keep a reference of our own,
 * because it knows what went wrong when that is gone. Against a fast server the
 * handshake may be over, or fail, right here. */
static int hand_over(struct coro_redis *redis, SSL *ssl)
{
    redis->tls = ssl;
    if (!redis->context)
        return -ECONNRESET;
    SSL_up_ref(ssl);
    if (redisInitiateSSL(&redis->context->c, ssl) == REDIS_OK)
        return 0;
    SSL_free(ssl); /* it was not taken */
    coro_redis_set_reason(redis, redis->context->c.errstr);
    return -ECONNRESET;
}

int coro_redis_tls_begin(struct coro_redis *redis)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return -ENOMEM;
    SSL *ssl = NULL;
    int status = set_up(redis, context, &ssl);
    SSL_CTX_free(context);
    return status < 0 ? status : hand_over(redis, ssl);
}

static void explain(struct coro_redis *redis, SSL *ssl)
{
    long verdict = SSL_get_verify_result(ssl);
    const char *why = last_error();
    if (verdict != X509_V_OK) {
        refuse(redis, "the server's certificate is not accepted",
               X509_verify_cert_error_string(verdict));
    } else if (why || !SSL_is_init_finished(ssl)) {
        char reason[CORO_REDIS_REASON_MAX];
        snprintf(reason, sizeof reason, "%s", redis->reason);
        refuse(redis, "no TLS with the server", why ? why : reason);
        redis->refused_us = false;
    }
}

int coro_redis_tls_settle(struct coro_redis *redis, int status)
{
    if (!redis->tls)
        return status;
    if (status < 0 && status != -ECANCELED && !redis->refused_us)
        explain(redis, redis->tls);
    SSL_free(redis->tls);
    redis->tls = NULL;
    return status;
}
