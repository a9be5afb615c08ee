/* zone: the time zone of the environment's TZ. What it finds may change from year to year. */
#define _WIN32_WINNT 0x0A00
#include "found.h"

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
    TIME_ZONE_INFORMATION z;

    current();
    here();
    GetTimeZoneInformation(&z);
    say("rules", "%u-%u/%u %u:%u %u-%u/%u %u:%u", z.StandardDate.wMonth, z.StandardDate.wDay, z.StandardDate.wDayOfWeek, z.StandardDate.wHour, z.StandardDate.wMinute,
        z.DaylightDate.wMonth, z.DaylightDate.wDay, z.DaylightDate.wDayOfWeek, z.DaylightDate.wHour, z.DaylightDate.wMinute);
    return 0;
}
