/* How a database URL is read, and that no error shows a part of it that could be a secret. */
#include "common/database_url.h"

#include "tests/support/test.h"

#include <sysexits.h>

#define SECRET "Mark3r"

static const char *const schemes[] = {"postgresql", "mysql",      "postgres", "mariadb",
                                      "MYSQL",      "jdbc:mysql", "sqlite",   "redis",
                                      "mysql+x",    "",           "memory",   SECRET "x"};

/* What may follow a scheme: all that people write when they do not encode a password. */
static const char *const forms[] = {
    "://u:" SECRET "@h/d",
    "://u:1/x?" SECRET "@h/d",
    "://u:1/x?a=" SECRET "@h/d",
    "://u:1/" SECRET "@h/d",
    "://u:1/" SECRET "@h:5432/d?sslmode=require",
    "://u:1#" SECRET "/@h/d",
    "://u:a?b#" SECRET "@h/d",
    "://u:a?b/" SECRET "@h/d",
    "://u:a@" SECRET "@h/d",
    "://u:" SECRET "@a@h/d",
    "://u:a@b@" SECRET "/c@h/d",
    "://u:%zz" SECRET "@h/d",
    "://u:%" SECRET "@h/d",
    "://u:" SECRET "%",
    "://u:" SECRET "%00@h/d",
    "://u:\x01" SECRET "@h/d",
    "://u:" SECRET "\n@h/d",
    "://u:" SECRET "@[::1/d",
    "://u:" SECRET "@[::1]x/d",
    "://u:" SECRET "@[::1]:5432/d",
    "://u:[" SECRET "]@h/d",
    "://[::1]:" SECRET "/d",
    "://:" SECRET "@h/d",
    "://@" SECRET "@h/d",
    "://u%3A" SECRET "@h/d",
    "://u%3a" SECRET "@h/d",
    "://u:" SECRET,
    "://u:" SECRET "/d",
    "://u:1:" SECRET "/d",
    "://u:" SECRET "@h:port/d",
    "://u:" SECRET "@h:99999/d",
    "://u:" SECRET "@h1:1,h2:2/d",
    "://u@h/d?password=" SECRET,
    "://u@h/d?sslmode=require&password=" SECRET "&sslcert=/x",
    "://u@h/d?sslpassword=" SECRET,
    "://u@h/d?PASSWORD=" SECRET,
    "://u@h/d?oauth_client_secret=" SECRET,
    "://u@h/d?options=-c%20app.key=" SECRET,
    "://u@h/d?" SECRET "=1",
    "://u@h/d?" SECRET,
    "://u@h/d?a=b&" SECRET,
    "://u@h/d#" SECRET "@x",
    ":u:" SECRET "@h/d",
    ":/u:" SECRET "@h/d",
    "u:" SECRET "@h/d",
    ":host=h user=u password=" SECRET "@x //",
    " host=h password=" SECRET ":x",
};

static const char *shown(const char *url)
{
    struct buffer out;
    buffer_init(&out, 4096);
    database_url_show(url, &out);
    assert_false(out.failed);
    const char *text = test_format("%s", buffer_text(&out));
    buffer_done(&out);
    return text;
}

/* Anything is a valid file name, except a server's URL. */
static bool is_file(const char *url)
{
    return strncmp(url, "sqlite:", 7) == 0 || strncmp(url, "memory:", 7) == 0;
}

static void a_secret_is_neither_shown_nor_in_an_error_whatever_is_wrong_with_the_url(void **state)
{
    (void)state;
    size_t refused = 0;
    size_t read = 0;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        for (size_t j = 0; j < sizeof forms / sizeof *forms; j++) {
            const char *url = test_format("%s%s", schemes[i], forms[j]);
            struct error err = ERROR_INIT;
            struct database_url parts;
            bool ok = database_url_parse(url, &parts, &err) == STATUS_OK;
            if (is_file(url) && ok)
                continue;
            refused += !ok;
            read += ok;
            if (strstr(err.text, SECRET) != NULL || strstr(shown(url), SECRET) != NULL)
                test_fail("%s: \"%s\", shown as %s", url, err.text, shown(url));
            if (!ok)
                assert_int_equal(err.exit_code, EX_CONFIG);
        }
    }
    assert_true(refused > 300);
    assert_true(read > 20);
}

static void what_is_no_secret_is_shown_as_it_was_written(void **state)
{
    static const struct {
        const char *url;
        const char *wanted;
    } cases[] = {
        {"postgresql://me:secret@h/d", "postgresql://me:***@h/d"},
        {"postgresql://me@h:5432/d?sslmode=require", NULL},
        {"postgresql://h1:1,[fe80::1%25eth0]:2/d?target_session_attrs=read-write", NULL},
        {"postgresql:///d?host=/run/pg", NULL},
        {"postgresql://%2Frun%2Fpg/d", NULL},
        {"postgresql://", NULL},
        {"postgresql://me%40tenant@h/d", NULL},
        {"postgresql://me:@h/d", NULL},
        {"postgresql://:x@h/d", "postgresql://:***@h/d"},
        {"postgresql://me:a?b#c@h/d", "postgresql://me:***@h/d"},
        {"postgresql://h/d?passfile=/p&foo=bar", "postgresql://h/d?passfile=/p&***"},
        {"postgresql://h/d?sslpassword=x", "postgresql://h/d?sslpassword=***"},
        {"mysql://me:a@b?c@db.example/d", "mysql://me:***@db.example/d"},
        {"mysql:///d?socket=/run/s&option-file=/etc/my.cnf", NULL},
        {"mysql://me:1/x?secret@h/d", "mysql:***"},
        {"sqlite:/var/lib/shop.db", NULL},
        {"sqlite:///var/lib/shop.db", NULL},
        {"sqlite:a@b.db", NULL},
        {"sqlite://me:secret@h/d", "sqlite:***"},
        {"oracle://me:secret@h/d", "***"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(shown(cases[i].url),
                            cases[i].wanted == NULL ? cases[i].url : cases[i].wanted);
}

static void its_parts_are_what_the_client_libraries_take_them_for(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct database_url url;
    struct slice host;
    struct slice port;
    assert_int_equal(database_url_parse("postgresql://u:p?q@h:1,[::1]/d?a=b&c=", &url, &err), 0);
    assert_true(slice_is(url.user, "u") && slice_is(url.password, "p?q"));
    assert_true(slice_is(url.database, "d"));
    assert_true(database_url_next_host(&url.hosts, &host, &port));
    assert_true(slice_is(host, "h") && slice_is(port, "1"));
    assert_true(database_url_next_host(&url.hosts, &host, &port));
    assert_true(slice_is(host, "::1") && port.length == 0);
    assert_false(database_url_next_host(&url.hosts, &host, &port));
    assert_true(database_url_next_option(&url.options, &host, &port));
    assert_true(slice_is(host, "a") && slice_is(port, "b"));
    assert_true(database_url_next_option(&url.options, &host, &port));
    assert_true(slice_is(host, "c") && port.length == 0);
    assert_false(database_url_next_option(&url.options, &host, &port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_secret_is_neither_shown_nor_in_an_error_whatever_is_wrong_with_the_url),
        TEST(what_is_no_secret_is_shown_as_it_was_written),
        TEST(its_parts_are_what_the_client_libraries_take_them_for),
    };
    return TEST_RUN(tests);
}
