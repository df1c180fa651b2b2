/* Databases behind TLS: which ones a sidecar connects to, which it refuses, and what it says. */
#include "tests/support/database.h"
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/roles.h"
#include "tests/support/sidecar.h"

#include "common/mariadb_session.h"
#include "common/postgresql_session.h"

#include <unistd.h>
#include <sysexits.h>

#define PASSWORD "tellnobody"

static const char *certificates; /* a folder, made once */

static void shell(const char *command)
{
    struct process_result result = PROCESS_RUN("/bin/sh", "-ec", command);
    if (result.exit_code != 0)
        test_fail("%s: %s%s", command, result.output, result.errors);
}

static void make_authority(const char *name)
{
    shell(test_format("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
                      "-nodes -days 30 -subj /CN=%s -keyout %s.key -out %s.pem",
                      certificates, name, name, name));
}

/* Make NAME.pem and NAME.key for a host, signed by an authority, valid for some days. */
static void make_certificate(const char *name, const char *host, const char *authority, int days)
{
    shell(test_format("cd %s && openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
                      "-nodes -subj /CN=%s -addext subjectAltName=DNS:%s -keyout %s.key -out "
                      "%s.csr && openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -days %d "
                      "-copy_extensions copy -out %s.pem",
                      certificates, host, host, name, name, name, authority, authority, days,
                      name));
}

static void make_certificates(void)
{
    if (certificates != NULL)
        return;
    if (PROCESS_RUN("/bin/sh", "-c", "command -v openssl").exit_code != 0)
        test_skip("openssl is not installed (apt install openssl)");
    certificates = test_directory_shared();
    make_authority("authority");
    make_authority("other");
    make_certificate("good", "localhost", "authority", 30);
    make_certificate("elsewhere", "db.example", "authority", 30);
    make_certificate("expired", "localhost", "authority", -1);
    make_certificate("stranger", "localhost", "other", 30);
}

/* Put a certificate where the server reads it, in a file that the server owns. */
static void install(const char *directory, const char *user, const char *name)
{
    const char *owner = geteuid() == 0 ? test_format("-o %s ", user) : "";
    shell(test_format("install -m 600 %s%s/%s.pem %s/server.pem && "
                      "install -m 600 %s%s/%s.key %s/server.key",
                      owner, certificates, name, directory, owner, certificates, name, directory));
}

static bool ssl_is(void *context)
{
    return strcmp(postgresql_text(postgresql_server_url(), "SHOW ssl_ciphers"), context) == 0;
}

/* @param name NULL: a server without TLS. The text of the ciphers changes when the server has read
 * its files again. */
static void postgresql_show(const char *name)
{
    static int round;
    const char *url = postgresql_server_url();
    const char *ciphers = test_format("HIGH%.*s", ++round, "::::::::::::::::");
    if (name != NULL)
        install(postgresql_directory(), "postgres", name);
    postgresql_execute(url, test_format("ALTER SYSTEM SET ssl_cert_file = '%s/server.pem'",
                                        postgresql_directory()));
    postgresql_execute(url, test_format("ALTER SYSTEM SET ssl_key_file = '%s/server.key'",
                                        postgresql_directory()));
    postgresql_execute(url, test_format("ALTER SYSTEM SET ssl_ciphers = '%s'", ciphers));
    postgresql_execute(url, test_format("ALTER SYSTEM SET ssl = %s", name == NULL ? "off" : "on"));
    postgresql_execute(url, "SELECT pg_reload_conf()");
    if (!test_wait(ssl_is, (char *)(uintptr_t)test_format("%s\n", ciphers), 20000))
        test_fail("PostgreSQL does not read its settings again");
}

static void mariadb_show(const char *name)
{
    static bool has_tls;
    if (name != NULL)
        install(mariadb_directory(), "mysql", name);
    if (name != NULL && has_tls) {
        mariadb_execute(mariadb_server_url(), "FLUSH SSL");
        return;
    }
    const char *const options[] = {test_format("--ssl-cert=%s/server.pem", mariadb_directory()),
                                   test_format("--ssl-key=%s/server.key", mariadb_directory())};
    mariadb_stop();
    if (name == NULL)
        mariadb_start();
    else
        mariadb_start_with(options);
    has_tls = name != NULL;
}

/* How these tests use one database product. */
static const struct product {
    enum database_kind kind;
    void (*show)(const char *name);
    const char *verify; /* the URL's option for the authority's file */
    const char *expired;
    const char *elsewhere;
    const char *stranger;
    const char *plain;
} products[] = {
    {DATABASE_POSTGRESQL, postgresql_show, "sslmode=verify-full&sslrootcert", "has expired",
     "is for another host", "no authority in sslrootcert has signed it", "switch TLS on"},
    {DATABASE_MARIADB, mariadb_show, "ssl-ca", "must be valid", "made for the host",
     "signed by an authority in ssl-ca", "switch TLS on"},
};

/* @return the URL of a login with its password. */
static const char *verified_url(const struct product *product, const char *url, const char *user,
                                const char *file)
{
    const char *login = roles_url(url, test_format("%s:" PASSWORD, user));
    if (product->kind == DATABASE_MARIADB)
        mariadb_execute(url,
                        test_format("ALTER USER %s@localhost IDENTIFIED BY '" PASSWORD "'", user));
    return test_format("%s?%s=%s", login, product->verify, file);
}

static enum status open_once(const struct product *product, const char *url, struct error *err)
{
    error_clear(err);
    if (product->kind == DATABASE_POSTGRESQL) {
        const struct server_session_options options = {.url = url, .application = "test"};
        PGconn *connection = NULL;
        enum status status = postgresql_session_open(&options, &connection, err);
        if (status == STATUS_OK)
            assert_int_equal(PQsslInUse(connection), 1);
        postgresql_session_close(status == STATUS_OK ? connection : NULL);
        return status;
    }
    const struct server_session_options options = {.url = url, .application = "test"};
    MYSQL *session = NULL;
    enum status status = mariadb_session_open(&options, &session, err);
    if (status == STATUS_OK)
        assert_non_null(mysql_get_ssl_cipher(session));
    mariadb_session_close(status == STATUS_OK ? session : NULL);
    return status;
}

/* The refusal can be retried: nothing was sent, and the error says what to do. */
static void assert_refused(const struct product *product, const char *url, const char *advice)
{
    struct error err = ERROR_INIT;
    if (open_once(product, url, &err) != STATUS_RETRY || strstr(err.text, advice) == NULL)
        test_fail("%s: %s", status_name(err.status), err.text);
    assert_true(err.connection_lost);
    assert_null(strstr(err.text, PASSWORD));
    assert_null(strstr(err.text, "://"));
}

static void certificates_are_verified(const struct product *product)
{
    struct error err = ERROR_INIT;
    const char *url = database_make(product->kind, "shop");
    make_certificates();
    (void)roles_login(url, "keeper", "");
    if (product->kind == DATABASE_MARIADB) /* otherwise it may not use the database */
        mariadb_execute(url, "GRANT SELECT ON shop.* TO keeper@localhost");
    const char *verified = verified_url(product, url, "keeper",
                                        test_format("%s/authority.pem", certificates));
    assert_refused(product, verified, product->plain);
    product->show("good");
    if (open_once(product, verified, &err) != STATUS_OK)
        test_fail("%s", err.text);
    product->show("elsewhere");
    assert_refused(product, verified, product->elsewhere);
    product->show("expired");
    assert_refused(product, verified, product->expired);
    product->show("stranger");
    assert_refused(product, verified, product->stranger);
    product->show("good");
    if (open_once(product, verified, &err) != STATUS_OK)
        test_fail("%s", err.text);

    /* If one of our own files is missing, the configuration is wrong. */
    const char *absent = verified_url(product, url, "keeper",
                                      test_format("%s/absent.pem", certificates));
    assert_int_equal(open_once(product, absent, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_non_null(strstr(err.text, "absent.pem"));
    assert_null(strstr(err.text, PASSWORD));
}

static void postgresql_certificates_are_verified_in_full(void **state)
{
    (void)state;
    certificates_are_verified(&products[0]);
}

static void mariadb_certificates_are_verified_in_full(void **state)
{
    (void)state;
    certificates_are_verified(&products[1]);
}

/* Make a service whose URL asks for a certificate and is in a file of its own. */
static struct sidecar verified_sidecar(const struct product *product)
{
    struct sidecar shop = sidecar_make_at(
        "127.0.0.1:1", "shop", database_make(product->kind, "shop"), "publish:\n  item: {}\n");
    make_certificates();
    product->show("good");
    sidecar_init(&shop, NULL);
    test_write_file(test_path("url"), verified_url(product, shop.url, shop.login,
                                                   test_format("%s/authority.pem", certificates)));
    const char *text = test_read_file(shop.config);
    const char *line = strstr(text, "database:");
    test_write_file(shop.config, test_format("%.*sdatabase_file: url%s", (int)(line - text), text,
                                             strchr(line, '\n')));
    return shop;
}

/* With an expired certificate a command ends and says so. A sidecar waits until the certificate is
 * renewed. */
static void a_sidecar_goes_on(const struct product *product)
{
    struct sidecar shop = verified_sidecar(product);
    product->show("expired");
    struct process_result page = sidecar_run(&shop, "status", NULL, NULL);
    assert_int_equal(page.exit_code, EX_TEMPFAIL);
    assert_non_null(strstr(page.errors, product->expired));
    sidecar_start(&shop, NULL);
    if (!process_wait_for(shop.process, product->expired, 30000))
        test_fail("%s", process_errors(shop.process));
    product->show("good");
    if (!process_wait_for(shop.process, "holds the lease", 60000))
        test_fail("%s", process_errors(shop.process));
    sidecar_stop(&shop);
    assert_null(strstr(process_errors(shop.process), PASSWORD));
    assert_null(strstr(page.errors, PASSWORD));
}

static void a_sidecar_of_postgresql_goes_on_when_a_certificate_is_renewed(void **state)
{
    (void)state;
    a_sidecar_goes_on(&products[0]);
}

static void a_sidecar_of_mariadb_goes_on_when_a_certificate_is_renewed(void **state)
{
    (void)state;
    a_sidecar_goes_on(&products[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(postgresql_certificates_are_verified_in_full, 120),
        TEST_WITH_LIMIT(mariadb_certificates_are_verified_in_full, 180),
        TEST_WITH_LIMIT(a_sidecar_of_postgresql_goes_on_when_a_certificate_is_renewed, 180),
        TEST_WITH_LIMIT(a_sidecar_of_mariadb_goes_on_when_a_certificate_is_renewed, 180),
    };
    return TEST_RUN(tests);
}
