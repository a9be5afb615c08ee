/* timezones: what Windows and the C runtime know of them; the zone itself is the environment's TZ. */
#define _WIN32_WINNT 0x0A00
#include <time.h>
#include <stdlib.h>
#include "found.h"


static const char *rule(const SYSTEMTIME *s)
{
    static char kept[4][50];
    static int next;
    char *to = kept[next++ & 3];

    sprintf(to, "%u-%u-%u/%u %u:%u", s->wYear, s->wMonth, s->wDay, s->wDayOfWeek, s->wHour, s->wMinute);
    return to;
}

/* current: rules that may depend on the year of the running are left out. */
static void current(void)
{
    TIME_ZONE_INFORMATION z;
    DYNAMIC_TIME_ZONE_INFORMATION d;

    say("GetTimeZoneInformation", "%d", GetTimeZoneInformation(&z) != TIME_ZONE_ID_INVALID);
    say("bias", "%ld %ld %ld", z.Bias, z.StandardBias, z.DaylightBias);
    say("standard", "%s", plain(z.StandardName));
    say("daylight", "%s", plain(z.DaylightName));
    say("GetDynamicTimeZoneInformation", "%d", GetDynamicTimeZoneInformation(&d) != TIME_ZONE_ID_INVALID);
    say("key", "%s %d", plain(d.TimeZoneKeyName), d.DynamicDaylightTimeDisabled);
}

/* zone tells of a zone by the rule of today. */
static void zone(const DYNAMIC_TIME_ZONE_INFORMATION *d)
{
    static const SYSTEMTIME moments[] = { { 2024, 1, 0, 15, 12, 0, 0, 0 }, { 2024, 7, 0, 15, 12, 0, 0, 0 }, { 2024, 3, 0, 31, 0, 59, 0, 0 }, { 2024, 3, 0, 31, 1, 0, 0, 0 } };
    TIME_ZONE_INFORMATION z;
    SYSTEMTIME local;
    char line[400] = "";
    size_t i;

    say("zone", "%s", plain(d->TimeZoneKeyName));
    say("names", "%s, %s, %ld", plain(d->StandardName), plain(d->DaylightName), d->Bias);
    say("rules", "%s %s", rule(&d->StandardDate), rule(&d->DaylightDate));
    memcpy(&z, d, sizeof z);
    for (i = 0; i < sizeof moments / sizeof *moments; i++) {
        if (!SystemTimeToTzSpecificLocalTime(&z, &moments[i], &local)) strcat(line, "error ");
        else sprintf(line + strlen(line), "%u-%u %u:%02u ", local.wMonth, local.wDay, local.wHour, local.wMinute);
    }
    say("local", "%s", line);
}

static void zones(void)
{
    static const wchar_t *const wanted[] = { L"Eastern Standard Time", L"W. Europe Standard Time", L"Tokyo Standard Time", L"India Standard Time", L"Lord Howe Standard Time", L"UTC", L"E. South America Standard Time", L"Samoa Standard Time" };
    DYNAMIC_TIME_ZONE_INFORMATION d;
    unsigned h = 0;
    DWORD i;
    size_t k;

    for (i = 0; EnumDynamicTimeZoneInformation(i, &d) == ERROR_SUCCESS; i++) {
        h += sum(d.TimeZoneKeyName, wcslen(d.TimeZoneKeyName) * 2) + (unsigned)d.Bias;
        for (k = 0; k < sizeof wanted / sizeof *wanted; k++)
            if (!wcscmp(d.TimeZoneKeyName, wanted[k])) zone(&d);
    }
    say("EnumDynamicTimeZoneInformation", "%lu %08x", i, h);
}

static void runtime(const char *tz)
{
    static const __time64_t moments[] = { 0, 1720000000, 1705000000, 1711846800 };
    char line[400] = "";
    struct tm *t, back;
    size_t i;

    if (tz) _putenv(tz);
    _tzset();
    for (i = 0; i < sizeof moments / sizeof *moments; i++) {
        if (!(t = _localtime64(&moments[i]))) { strcat(line, "none "); continue; }
        back = *t;
        sprintf(line + strlen(line), "%d-%d %d:%02d dst %d ", t->tm_mon + 1, t->tm_mday, t->tm_hour, t->tm_min, t->tm_isdst);
        if (_mktime64(&back) != moments[i]) strcat(line, "(not back) ");
    }
    say(tz ? tz : "TZ as it is", "%s", line);
    say("_timezone", "%ld %s", _timezone, _tzname[0]);
}

static void here(void)
{
    FILETIME utc = { 0x4ccce000, 0x01dac000 }, local, back;
    SYSTEMTIME s;

    FileTimeToLocalFileTime(&utc, &local);
    LocalFileTimeToFileTime(&local, &back);
    say("local file time and back", "%d", !memcmp(&utc, &back, sizeof utc));
    FileTimeToSystemTime(&utc, &s);
    say("moment", "%u-%u-%u %u:%u", s.wYear, s.wMonth, s.wDay, s.wHour, s.wMinute);
    SystemTimeToTzSpecificLocalTime(NULL, &s, &s);
    say("here", "%u-%u-%u %u:%u", s.wYear, s.wMonth, s.wDay, s.wHour, s.wMinute);
}

int main(void)
{
    current();
    here();
    runtime(NULL);
    zones();
    runtime("TZ=EST5EDT");
    runtime("TZ=CET-1CEST");
    runtime("TZ=UTC0");
    return 0;
}
