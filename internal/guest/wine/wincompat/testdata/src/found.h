/* found.h: how the programs of this suite tell what they found: on standard output, a
 * line "name = value" for each thing. What they print must not depend on the machine, the user,
 * the folder or the time, nor on which other programs run beside them. */
#include <stdarg.h>
#include <stdio.h>
#include <windows.h>

/* say prints one line. */
static inline void say(const char *name, const char *format, ...)
{
    va_list args;

    printf("%s = ", name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

/* tried says whether a call succeeded, and its error when it did not. */
#define tried(name, call) do { \
        SetLastError(0); \
        if (call) say(name, "yes"); \
        else say(name, "no, error %lu", GetLastError()); \
    } while (0)

/* plain is w in ASCII: everything else as \uXXXX. The last eight results are kept. */
static inline const char *plain(const wchar_t *w)
{
    static char kept[8][2048];
    static int next;
    char *to = kept[next++ & 7], *p = to;

    if (!w) return "(null)";
    for (; *w && p < to + sizeof kept[0] - 8; w++) {
        if (*w >= ' ' && *w < 127 && *w != '\\') *p++ = (char)*w;
        else if (*w == '\\') *p++ = '\\', *p++ = '\\';
        else p += sprintf(p, "\\u%04X", (unsigned)*w);
    }
    *p = 0;
    return to;
}

/* hex is the first n bytes of p. The last four results are kept. */
static inline const char *hex(const void *p, size_t n)
{
    static char kept[4][1024];
    static int next;
    char *to = kept[next++ & 3];
    size_t i;

    for (i = 0; i < n && i < 500; i++) sprintf(to + 2 * i, "%02x", ((const unsigned char *)p)[i]);
    to[2 * i] = 0;
    return to;
}

/* sum is a checksum (FNV-1a) of n bytes. */
static inline unsigned sum(const void *p, size_t n)
{
    const unsigned char *b = p;
    unsigned h = 2166136261u;

    while (n--) h = (h ^ *b++) * 16777619u;
    return h;
}

/* own makes a name that no other program on this machine uses at the same time. */
static inline const wchar_t *own(const wchar_t *what)
{
    static wchar_t kept[8][128];
    static int next;
    wchar_t *to = kept[next++ & 7];

    wsprintfW(to, L"wincompat-%s-%lu", what, GetCurrentProcessId());
    return to;
}
