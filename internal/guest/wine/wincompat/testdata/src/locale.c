/* locale: formats, comparison, case, code pages, and the C runtime's setlocale. */
#define _WIN32_WINNT 0x0A00
#include <locale.h>
#include <stdlib.h>
#include <time.h>
#include <wchar.h>
#include "found.h"

static const wchar_t *const places[] = { L"en-US", L"de-DE", L"fr-FR", L"ja-JP", L"ar-SA", L"hi-IN", L"tr-TR", L"pt-BR", L"ru-RU", L"" };

static void facts(void)
{
    static const LCTYPE kinds[] = { LOCALE_SDECIMAL, LOCALE_STHOUSAND, LOCALE_SLIST, LOCALE_SCURRENCY, LOCALE_SSHORTDATE, LOCALE_STIMEFORMAT, LOCALE_SDAYNAME1, LOCALE_SABBREVMONTHNAME3, LOCALE_SENGLANGUAGE, LOCALE_SNATIVELANGNAME, LOCALE_IDEFAULTANSICODEPAGE, LOCALE_IFIRSTDAYOFWEEK, LOCALE_SISO3166CTRYNAME };
    wchar_t buf[200];
    char line[1500];
    size_t i, k;

    for (i = 0; i < sizeof places / sizeof *places; i++) {
        char name[60];
        line[0] = 0;
        for (k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            if (!GetLocaleInfoEx(places[i], kinds[k], buf, 200)) wcscpy(buf, L"(error)");
            strcat(strcat(line, "|"), plain(buf));
        }
        sprintf(name, "facts %s", plain(places[i]));
        say(name, "%s", line);
    }
    tried("no such place", GetLocaleInfoEx(L"xx-YY-zz", LOCALE_SDECIMAL, buf, 200));
    say("LocaleNameToLCID", "%lx %lx", LocaleNameToLCID(L"de-CH", 0), LocaleNameToLCID(L"zh-TW", 0));
    LCIDToLocaleName(0x0c0a, buf, 200, 0);
    say("LCIDToLocaleName", "%s", plain(buf));
    say("IsValidLocaleName", "%d %d", IsValidLocaleName(L"fi-FI"), IsValidLocaleName(L"qq"));
    GetUserDefaultLocaleName(buf, 200);
    say("user's", "%s %lx %x", plain(buf), GetUserDefaultLCID(), GetUserDefaultUILanguage());
    GetSystemDefaultLocaleName(buf, 200);
    say("system's", "%s %lx %x", plain(buf), GetSystemDefaultLCID(), GetSystemDefaultUILanguage());
    say("thread's", "%lx", GetThreadLocale());
    say("code pages", "%u %u", GetACP(), GetOEMCP());
    say("geography", "%d", (int)GetUserGeoID(GEOCLASS_NATION));
}

static BOOL CALLBACK one(LPWSTR name, DWORD flags, LPARAM p) { (void)flags; ((unsigned *)p)[0]++; ((unsigned *)p)[1] += sum(name, wcslen(name) * 2); return TRUE; }
static BOOL CALLBACK page(LPWSTR name) { static unsigned dummy; dummy += name[0]; return TRUE; }

static void formats(void)
{
    static const SYSTEMTIME s = { 2024, 2, 4, 29, 13, 4, 5, 678 };
    wchar_t a[100], b[100], c[100], d[100];
    unsigned all[2] = { 0, 0 };
    size_t i;

    for (i = 0; i < sizeof places / sizeof *places; i++) {
        char name[60];
        if (!GetNumberFormatEx(places[i], 0, L"-1234567.895", NULL, a, 100)) wcscpy(a, L"(error)");
        if (!GetCurrencyFormatEx(places[i], 0, L"9876.5", NULL, b, 100)) wcscpy(b, L"(error)");
        if (!GetDateFormatEx(places[i], DATE_LONGDATE, &s, NULL, c, 100, NULL)) wcscpy(c, L"(error)");
        if (!GetTimeFormatEx(places[i], 0, &s, NULL, d, 100)) wcscpy(d, L"(error)");
        sprintf(name, "formats %s", plain(places[i]));
        say(name, "%s|%s|%s|%s", plain(a), plain(b), plain(c), plain(d));
    }
    GetDateFormatEx(L"de-DE", 0, &s, L"dddd, d. MMMM yyyy gg 'am' dd.MM.yy", a, 100, NULL);
    say("date by a picture", "%s", plain(a));
    GetTimeFormatEx(L"en-GB", 0, &s, L"hh:mm:ss tt H", a, 100);
    say("time by a picture", "%s", plain(a));
    EnumSystemLocalesEx(one, 0, (LPARAM)all, NULL);
    say("all places", "%u %08x", all[0], all[1]);
    say("EnumSystemCodePages", "%d", EnumSystemCodePagesW(page, CP_SUPPORTED));
}

static void text(void)
{
    static const wchar_t *const pairs[][2] = { { L"a", L"B" }, { L"resume", L"r\u00e9sum\u00e9" }, { L"co-op", L"coop" }, { L"stra\u00dfe", L"strasse" }, { L"\u00e5", L"z" }, { L"10", L"9" }, { L"a", L"A" }, { L"\u3042", L"\u30a2" }, { L"e\u0301", L"\u00e9" } };
    wchar_t buf[100];
    BYTE key[100];
    size_t i;
    int n;

    for (i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char name[100];
        sprintf(name, "compare %s, %s", plain(pairs[i][0]), plain(pairs[i][1]));
        say(name, "%d %d %d %d", CompareStringEx(L"en-US", 0, pairs[i][0], -1, pairs[i][1], -1, NULL, NULL, 0),
            CompareStringEx(L"sv-SE", NORM_IGNORECASE, pairs[i][0], -1, pairs[i][1], -1, NULL, NULL, 0),
            CompareStringEx(L"", NORM_IGNORENONSPACE | NORM_IGNOREKANATYPE, pairs[i][0], -1, pairs[i][1], -1, NULL, NULL, 0),
            CompareStringOrdinal(pairs[i][0], -1, pairs[i][1], -1, TRUE));
    }
    LCMapStringEx(L"en-US", LCMAP_UPPERCASE, L"stra\u00dfe \u00e9\u0142\u03c9\u044f\u01c6i", -1, buf, 100, NULL, NULL, 0);
    say("upper", "%s", plain(buf));
    LCMapStringEx(L"tr-TR", LCMAP_UPPERCASE | LCMAP_LINGUISTIC_CASING, L"istanbul \u0131", -1, buf, 100, NULL, NULL, 0);
    say("upper in Turkish", "%s", plain(buf));
    LCMapStringEx(L"ja-JP", LCMAP_HALFWIDTH | LCMAP_KATAKANA, L"\u3042\uff21\u30ac", -1, buf, 100, NULL, NULL, 0);
    say("half width", "%s", plain(buf));
    n = LCMapStringEx(L"en-US", LCMAP_SORTKEY | NORM_IGNORECASE, L"Key \u00e9", -1, (wchar_t *)key, 100, NULL, NULL, 0);
    say("sort key", "%d %s", n, hex(key, (size_t)n));
    n = NormalizeString(NormalizationC, L"e\u0301a\u0308", -1, buf, 100);
    say("normal form C", "%d %s", n, plain(n > 0 ? buf : L"-"));
    n = NormalizeString(NormalizationKD, L"\ufb01\u00e9", -1, buf, 100);
    say("normal form KD", "%d %s", n, plain(n > 0 ? buf : L"-"));
    FoldStringW(MAP_FOLDDIGITS, L"\u0661\u0662\u00b2", -1, buf, 100);
    say("FoldString", "%s", plain(buf));
    GetStringTypeW(CT_CTYPE1, L"aA1 \u00e9\u4e2d\t.", 8, (WORD *)key);
    say("GetStringType", "%s", hex(key, 16));
    n = FindNLSStringEx(L"en-US", FIND_FROMSTART | NORM_IGNORECASE, L"Hay NEEDLE hay", -1, L"needle", -1, NULL, NULL, NULL, 0);
    say("FindNLSString", "%d", n);
    n = IdnToAscii(0, L"b\u00fccher.example", -1, buf, 100);
    say("IdnToAscii", "%d %s", n, plain(n > 0 ? buf : L"-"));
}

static void pages(void)
{
    static const UINT all[] = { 437, 850, 932, 936, 949, 950, 1250, 1251, 1252, 1255, 10000, 20127, 28591, 28605, 65000, 65001, CP_ACP, CP_OEMCP };
    CPINFOEXW info;
    wchar_t w[100];
    char buf[100];
    BOOL lost = 0;
    size_t i;
    int n, m;

    for (i = 0; i < sizeof all / sizeof *all; i++) {
        char name[50];
        sprintf(name, "code page %u", all[i]);
        if (!GetCPInfoExW(all[i], 0, &info)) {
            say(name, "error %lu", GetLastError());
            continue;
        }
        n = WideCharToMultiByte(all[i], 0, L"A\u00e9\u20ac\u65e5\u0416\u05d0\U0001F600", -1, buf, 100, NULL, all[i] >= 65000 || i >= 16 ? NULL : &lost);
        m = MultiByteToWideChar(all[i], 0, "\x41\x82\xa0\xe9\xff", 5, w, 99);
        w[m > 0 ? m : 0] = 0;
        say(name, "%u to %s back %s", info.MaxCharSize, n > 0 ? hex(buf, (size_t)n) : "-", plain(w));
    }
    tried("invalid UTF-8", MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, "\xc3\x28", 2, w, 100) > 0);
    tried("buffer too small", WideCharToMultiByte(CP_UTF8, 0, L"abc", 3, buf, 2, NULL, NULL) > 0);
    tried("no such code page", MultiByteToWideChar(12345, 0, "a", 1, w, 100) > 0);
    say("IsDBCSLeadByteEx", "%d %d", IsDBCSLeadByteEx(932, 0x83), IsDBCSLeadByteEx(1252, 0x83));
}

static void runtime(void)
{
    static const char *const names[] = { "C", "", "German", "English_United States.1252", "Japanese_Japan.932", "fr-FR", "nonsense" };
    struct tm t = { .tm_year = 124, .tm_mon = 4, .tm_mday = 9, .tm_wday = 4, .tm_hour = 15 };
    struct lconv *l;
    wchar_t w[20];
    char buf[100];
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        char name[60];
        const char *got = setlocale(LC_ALL, names[i]);
        sprintf(name, "setlocale \"%s\"", names[i]);
        say(name, "%s", got ? got : "no");
        if (!got) continue;
        l = localeconv();
        strftime(buf, 100, "%A %B %x %X", &t);
        say("then", "%s %s|%d %d|%d|%d", l->decimal_point, hex(buf, strlen(buf)), (int)mbstowcs(w, "\xe9\x82\xa0", 20), strcoll("a", "B"), MB_CUR_MAX, (int)strtod("1,5", NULL));
    }
}

int main(void)
{
    facts();
    formats();
    text();
    pages();
    runtime();
    return 0;
}
