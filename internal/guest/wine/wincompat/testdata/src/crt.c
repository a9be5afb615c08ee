/* crt: the C runtime, built twice: with the old one (msvcrt.dll) and the new (ucrtbase). */
#include <direct.h>
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <io.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <wchar.h>
#include "found.h"

static void formats(void)
{
    static const double numbers[] = { 0, -0.0, 1, 0.1, 1e-5, 123456.789, 1e15, 1e16, 1.7976931348623157e308, 4.9406564584124654e-324, 2.5, 3.5, 0.005 };
    static const char *const forms[] = { "%f", "%e", "%g", "%.3g", "%10.2f", "%-10.1e", "%+.0f", "%#g", "%.17g", "%a" };
    char line[512], one[400];
    wchar_t wide[64];
    size_t i, j;

    for (i = 0; i < sizeof forms / sizeof *forms; i++) {
        line[0] = 0;
        for (j = 0; j < sizeof numbers / sizeof *numbers; j++) {
            if (forms[i][1] == 'f' && numbers[j] > 1e20) continue;
            sprintf(one, forms[i], numbers[j]);
            strcat(strcat(line, "|"), one);
        }
        say(forms[i], "%s", line);
    }
    sprintf(line, "%g %g %g %f", (double)INFINITY, -(double)INFINITY, fabs((double)NAN), (double)INFINITY);
    say("printf infinity, nan", "%s", line);
    sprintf(line, "%d|%5d|%-5d|%05d|%+d|%x|%#X|%o|%u|%c|%s|%.3s|%-6s|%6s|%%", -42, 42, 42, 42, 42, 0xbeef, 0xbeef, 8, UINT_MAX, 'c', "text", "truncated", "ab", "cd");
    say("printf integers, text", "%s", line);
    sprintf(line, "%I64d %I64u %I64x %hd %hhd %ld %p", _I64_MIN, _UI64_MAX, 0x123456789abcdefull, (short)-1, (signed char)-1, LONG_MIN, (void *)0x1234);
    say("printf sizes", "%s", line);
    say("snprintf returns", "%d", snprintf(one, 4, "%s", "longer"));
    say("_snprintf returns", "%d", _snprintf(one, 4, "%s", "longer"));
    say("_scprintf", "%d", _scprintf("%d %s", 12345, "abc"));
    swprintf(wide, 64, L"%ls %d %c", L"w\u00e9", 7, L'x');
    say("swprintf", "%s", plain(wide));
    say("_itoa", "%s %s %s", _itoa(-255, line, 16), _itoa(255, line + 40, 2), _i64toa(_I64_MIN, line + 80, 10));
    say("_ecvt", "%s", _ecvt(3.14159, 5, (int *)one, (int *)(one + 8)));
    say("_gcvt", "%s", _gcvt(31415.9265, 8, line));
}

static void parsing(void)
{
    static const char *const texts[] = { "1.5", "  -2.25e3x", "0x1p4", "1e400", "1e-400", "inf", "nan", ".5.", "e5", "123456789012345678901234567890", "0.1e1", "2.2250738585072011e-308" };
    int a = 0, b = 0, n;
    char word[20] = "", set[20] = "", c = 0;
    double d = 0;
    float f = 0;
    size_t i;

    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *end, name[64];
        double value;

        errno = 0;
        value = strtod(texts[i], &end);
        sprintf(name, "strtod %s", texts[i]);
        say(name, "%.17g, %d used, errno %d", isnan(value) ? 0 : value, (int)(end - texts[i]), errno);
    }
    say("strtol 0x7f", "%ld", strtol("0x7f", NULL, 0));
    say("strtol 077", "%ld", strtol("077", NULL, 0));
    errno = 0;
    n = strtol("99999999999", NULL, 10);
    say("strtol big", "%d errno %d", n, errno);
    say("strtoul -1", "%lu", strtoul("-1", NULL, 10));
    say("_strtoi64", "%I64d", _strtoi64("-9223372036854775808", NULL, 10));
    say("wcstol", "%ld", wcstol(L" \t42z", NULL, 10));
    say("atoi", "%d %d", atoi("17 apples"), atoi("none"));
    n = sscanf("12 -0x1f word [abc]def 3.25 1e3 x", "%d %i %19s [%19[a-c]]def %lf %f %c", &a, &b, word, set, &d, &f, &c);
    say("sscanf", "%d: %d %d %s %s %g %g %c", n, a, b, word, set, d, (double)f, c);
    say("sscanf no match", "%d %d", sscanf("abc", "%d", &a), sscanf("", "%d", &a));
    n = 0;
    sscanf("abc def", "%*s%n", &n);
    say("sscanf %n", "%d", n);
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void memory_and_text(void)
{
    int numbers[] = { 5, 3, 9, -1, 7, 3, 0, 12, 8, 2 }, key = 7, *hit, i;
    char line[128] = "", buf[64] = "overlapping", *token, *big;
    wchar_t w[16];

    qsort(numbers, 10, sizeof *numbers, by_number);
    for (i = 0; i < 10; i++) sprintf(line + strlen(line), "%d ", numbers[i]);
    say("qsort", "%s", line);
    hit = bsearch(&key, numbers, 10, sizeof *numbers, by_number);
    say("bsearch", "%d", hit ? (int)(hit - numbers) : -1);
    memmove(buf + 2, buf, 8);
    say("memmove", "%.11s", buf);
    strcpy(buf, "a,b;;c");
    for (line[0] = 0, token = strtok(buf, ",;"); token; token = strtok(NULL, ",;")) strcat(strcat(line, token), ".");
    say("strtok", "%s", line);
    say("strspn", "%d %d %s", (int)strspn("aabbc", "ab"), (int)strcspn("hello", "l"), strpbrk("key=value", "="));
    say("strrchr strstr", "%s %s", strrchr("a/b/c", '/'), strstr("haystack", "st"));
    say("_stricmp", "%d %d", _stricmp("ABC", "abc"), _strnicmp("abX", "ABy", 2));
    say("_strrev", "%s", _strrev(strcpy(buf, "abc")));
    say("_strupr", "%s", _strupr(strcpy(buf, "xyz")));
    say("strerror ENOENT", "%s", strerror(ENOENT));
    say("strerror EACCES", "%s", strerror(EACCES));
    say("strerror EILSEQ", "%s", strerror(EILSEQ));
    say("_msize", "%d", (int)_msize(big = malloc(1000)));
    memset(big, 'x', 1000);
    big = realloc(big, 100000);
    say("realloc", "%d", big[999] == 'x');
    free(big);
    big = calloc(1000, 10);
    say("calloc", "%d", big[0] == 0 && !memcmp(big, big + 1, 9999));
    free(big);
    big = _aligned_malloc(100, 256);
    say("_aligned_malloc", "%d", ((size_t)big & 255) == 0);
    _aligned_free(big);
    setlocale(LC_ALL, "C");
    say("mbstowcs", "%d", (int)mbstowcs(w, "abc", 16));
    i = (int)wcstombs(buf, L"xyz", 16);
    say("wcstombs", "%d %s", i, buf);
    say("isalpha", "%d%d%d%d", !!isalpha('a'), !!isalpha('1'), !!isspace('\t'), !!ispunct('!'));
    say("towupper", "%04x %04x", towupper(L'a'), towupper(0xe9));
}

static void numbers(void)
{
    int i, exponent;
    double whole, d;
    char line[100] = "";

    srand(1);
    for (i = 0; i < 6; i++) sprintf(line + strlen(line), "%d ", rand());
    say("rand", "%s", line);
    say("sqrt cbrt", "%.17g", sqrt(2));
    say("pow", "%.15g %.15g %g", pow(2, 0.5), pow(10, -3), pow(0, 0));
    say("sin cos tan", "%.14g %.14g %.14g", sin(1), cos(1), tan(1));
    say("exp log", "%.14g %.14g %.14g", exp(1), log(10), log10(1000));
    say("asin atan2", "%.14g %.14g", asin(1), atan2(-1, -1));
    say("sinh", "%.14g %.14g", sinh(1), tanh(0.5));
    say("floor ceil fmod", "%g %g %g %g", floor(-1.5), ceil(-1.5), fmod(-7, 3), fmod(7, -3));
    d = frexp(48, &exponent);
    say("frexp ldexp", "%g %d %g", d, exponent, ldexp(0.75, 4));
    d = modf(-3.25, &whole);
    say("modf", "%g %g", d, whole);
    say("div", "%d %d", div(-7, 2).quot, div(-7, 2).rem);
    say("_rotl", "%x %I64x", _rotl(0x80000001, 4), _rotl64(0x8000000000000001ull, 4));
    say("_byteswap", "%lx", _byteswap_ulong(0x12345678));
    say("_controlfp", "%x", _controlfp(0, 0) & (_MCW_EM | _MCW_RC));
    _controlfp(_RC_UP, _MCW_RC);
    { volatile double one = 1, three = 3; say("rounded up", "%.17g", one / three); }
    _controlfp(_RC_NEAR, _MCW_RC);
    _clearfp();
    { volatile double one = 1, zero = 0; volatile double r = one / zero; (void)r; }
    say("_statusfp", "%d", !!(_statusfp() & _EM_ZERODIVIDE));
    say("_finite _isnan _fpclass", "%d %d %x", _finite(1e308), _isnan(0.0), (unsigned)_fpclass(-0.0));
    say("_hypot _j0", "%g %.12g", _hypot(3, 4), _j0(1));
}

static void streams(void)
{
    static const char *const name = "crt.tmp";
    char buf[64];
    wchar_t wide[32];
    struct _stat64 st;
    FILE *f = fopen(name, "w+");
    int c, n, fd;
    long at;

    if (!f) { say("fopen", "failed %d", errno); return; }
    fprintf(f, "line %d\nline %d\n", 1, 2);
    fputs("third\x1a after", f);
    say("ftell", "%ld", ftell(f));
    rewind(f);
    say("fgets", "%d", (int)strlen(fgets(buf, 64, f)));
    c = fgetc(f);
    ungetc('L', f);
    n = fgetc(f);
    say("ungetc", "%c%c", c, n);
    n = fscanf(f, "ine %d", &c);
    say("fscanf", "%d %d", n, c);
    fclose(f);
    f = fopen(name, "rb");
    n = (int)fread(buf, 1, 64, f);
    say("text file in bytes", "%d %s", n, hex(buf, n));
    c = fgetc(f);
    say("feof", "%d %d", c, !!feof(f));
    fseek(f, -5, SEEK_END);
    at = ftell(f);
    say("fseek", "%ld %c", at, fgetc(f));
    fclose(f);
    f = fopen(name, "r");
    for (n = 0; fgetc(f) != EOF; n++) ;
    say("text ends at ^Z", "%d", n);
    fclose(f);
    f = fopen(name, "ab");
    fwrite("+", 1, 1, f);
    fclose(f);
    _stat64(name, &st);
    say("_stat64", "%I64d %o", st.st_size, st.st_mode);
    f = fopen(name, "wt, ccs=UTF-8");
    if (f) {
        fputws(L"\u00e9\u4e2d\n", f);
        fclose(f);
        f = fopen(name, "rb");
        n = (int)fread(buf, 1, 64, f);
        say("ccs=UTF-8", "%s", hex(buf, n));
        fclose(f);
        f = fopen(name, "rt, ccs=UTF-8");
        if (fgetws(wide, 32, f)) say("fgetws", "%s", plain(wide));
        fclose(f);
    }
    fd = _open(name, _O_RDWR | _O_CREAT | _O_TRUNC | _O_BINARY, _S_IREAD | _S_IWRITE);
    say("_write", "%d", _write(fd, "0123456789", 10));
    say("_lseek", "%ld", _lseek(fd, 3, SEEK_SET));
    n = _read(fd, buf, 4);
    say("_read", "%.*s", n, buf);
    n = _chsize(fd, 5);
    say("_chsize", "%d, then %ld", n, _filelength(fd));
    say("_locking", "%d", _locking(fd, 2 /* _LK_NBLCK */, 3));
    _close(fd);
    _chmod(name, _S_IREAD);
    errno = 0;
    f = fopen(name, "w");
    say("fopen read-only", "%d errno %d", f != NULL, errno);
    _chmod(name, _S_IREAD | _S_IWRITE);
    say("rename", "%d", rename(name, "crt.two"));
    say("remove", "%d", remove("crt.two"));
    errno = 0;
    n = remove("crt.two");
    say("remove again", "%d errno %d", n, errno);
    errno = 0;
    f = fopen("no/such", "r");
    say("fopen missing", "%d errno %d %lu", f != NULL, errno, _doserrno);
    f = tmpfile();
    say("tmpfile", "%d", f && fputs("x", f) >= 0);
    if (f) fclose(f);
    say("_mkdir", "%d", _mkdir("crt.dir"));
    say("_rmdir", "%d", _rmdir("crt.dir"));
    say("_access", "%d %d", _access(".", 0), _access("nothing", 0));
    say("setvbuf", "%d", setvbuf(stderr, NULL, _IOFBF, 512));
}

static void times(void)
{
    static const __time64_t moments[] = { 0, 951782400, 1700000000, 2147483648ll, 4102444800ll, 32503680000ll };
    char buf[100], name[40];
    struct tm tm = { 0 }, *t;
    size_t i;

    for (i = 0; i < sizeof moments / sizeof *moments; i++) {
        t = _gmtime64(&moments[i]);
        strftime(buf, sizeof buf, "%Y-%m-%d %H:%M:%S %a %A %b %B %j %U %W %w %y %p %I", t);
        sprintf(name, "gmtime %I64d", moments[i]);
        say(name, "%s", buf);
    }
    say("asctime", "%.24s", asctime(_gmtime64(&moments[2])));
    tm.tm_year = 124; tm.tm_mon = 1; tm.tm_mday = 30;
    say("_mkgmtime64", "%I64d", _mkgmtime64(&tm));
    say("30 February is", "%d-%d", tm.tm_mon + 1, tm.tm_mday);
    say("difftime", "%g", _difftime64(moments[2], moments[1]));
    say("clock goes", "%d", clock() >= 0);
    say("time is sane", "%d", time(NULL) > 1700000000);
}

static jmp_buf back;
static volatile int caught;
static void on_signal(int s) { caught = s; }
static volatile int depth;
static void deeper(int n) { depth = n; if (n < 20) deeper(n + 1); if (depth == 20) longjmp(back, 7); }

static void jumps(void)
{
    int r = setjmp(back);

    if (!r) deeper(0);
    say("longjmp", "%d", r);
    signal(SIGINT, on_signal);
    raise(SIGINT);
    say("raise", "%d", caught == SIGINT);
    say("signal is reset", "%d", signal(SIGINT, SIG_DFL) == SIG_DFL);
    signal(SIGTERM, SIG_IGN);
    say("ignored", "%d", raise(SIGTERM));
}

static void environment(void)
{
    _putenv("WINCOMPAT_A=one");
    say("getenv", "%s", getenv("WINCOMPAT_A"));
    say("_wgetenv", "%s", plain(_wgetenv(L"WINCOMPAT_A")));
    _wputenv(L"WINCOMPAT_A=\u00fcber");
    say("_wputenv", "%s", plain(_wgetenv(L"WINCOMPAT_A")));
    _putenv("WINCOMPAT_A=");
    say("getenv removed", "%d", getenv("WINCOMPAT_A") != NULL);
}

static void last(void) { say("atexit", "last"); }
static void first(void) { say("atexit", "first"); }

int main(void)
{
    say("locale at start", "%s", setlocale(LC_ALL, NULL));
    formats();
    parsing();
    memory_and_text();
    numbers();
    streams();
    times();
    jumps();
    environment();
    atexit(last);
    atexit(first);
    return 3;
}
