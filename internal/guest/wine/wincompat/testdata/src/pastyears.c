/* pastyears: time zones by the rules of other years. */
#define _WIN32_WINNT 0x0A00
#include "found.h"

static const char *rule(const SYSTEMTIME *s)
{
    static char kept[4][50];
    static int next;
    char *to = kept[next++ & 3];

    sprintf(to, "%u-%u-%u/%u %u:%u", s->wYear, s->wMonth, s->wDay, s->wDayOfWeek, s->wHour, s->wMinute);
    return to;
}

static void zone(const wchar_t *name, DYNAMIC_TIME_ZONE_INFORMATION *d)
{
    static const SYSTEMTIME moments[] = {
        { 2024, 1, 0, 15, 12, 0, 0, 0 }, { 2024, 7, 0, 15, 12, 0, 0, 0 }, { 2006, 4, 0, 1, 6, 59, 0, 0 }, { 2006, 4, 0, 15, 12, 0, 0, 0 },
        { 2024, 3, 0, 31, 0, 59, 0, 0 }, { 2024, 3, 0, 31, 1, 0, 0, 0 }, { 2024, 3, 0, 10, 7, 0, 0, 0 }, { 2024, 11, 0, 3, 5, 59, 0, 0 }, { 1999, 12, 0, 31, 23, 59, 0, 0 },
    };
    TIME_ZONE_INFORMATION z;
    SYSTEMTIME local, back;
    char line[400] = "";
    DWORD first = 0, last = 0;
    size_t i;
    BOOL ok;

    say("zone", "%s", plain(name));
    say("names", "%s, %s, %ld", plain(d->StandardName), plain(d->DaylightName), d->Bias);
    ok = GetTimeZoneInformationForYear(2006, d, &z);
    say("2006", "%d %s %s", ok, rule(&z.StandardDate), rule(&z.DaylightDate));
    ok = GetTimeZoneInformationForYear(2012, d, &z);
    say("2012", "%d %s %s", ok, rule(&z.StandardDate), rule(&z.DaylightDate));
    i = GetDynamicTimeZoneInformationEffectiveYears((const PDYNAMIC_TIME_ZONE_INFORMATION)d, &first, &last);
    say("years", "%d %lu %lu", (int)i, first, last);
    for (i = 0; i < sizeof moments / sizeof *moments; i++) {
        if (!GetTimeZoneInformationForYear(moments[i].wYear, d, &z) || !SystemTimeToTzSpecificLocalTime(&z, &moments[i], &local)) {
            strcat(line, "error ");
            continue;
        }
        sprintf(line + strlen(line), "%u-%u %u:%02u ", local.wMonth, local.wDay, local.wHour, local.wMinute);
        TzSpecificLocalTimeToSystemTime(&z, &local, &back);
        if (back.wHour != moments[i].wHour) sprintf(line + strlen(line), "(back %u:%02u) ", back.wHour, back.wMinute);
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
            if (!wcscmp(d.TimeZoneKeyName, wanted[k])) zone(wanted[k], &d);
    }
    say("EnumDynamicTimeZoneInformation", "%lu %08x", i, h);
}

int main(void)
{
    zones();
    return 0;
}
