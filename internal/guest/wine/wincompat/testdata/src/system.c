/* system: what only a full boot has: services, volumes, the hardware's description,
 * accounts. */
#define _WIN32_WINNT 0x0A00
#include "found.h"
#include <sddl.h>

static void service(const wchar_t *name)
{
    SC_HANDLE m = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT), s;
    SERVICE_STATUS status = { 0 };

    if (!m) {
        say(plain(name), "no manager, error %lu", GetLastError());
        return;
    }
    s = OpenServiceW(m, name, SERVICE_QUERY_STATUS);
    if (!s) say(plain(name), "error %lu", GetLastError());
    else {
        QueryServiceStatus(s, &status);
        say(plain(name), "type %lx", status.dwServiceType);
        CloseServiceHandle(s);
    }
    CloseServiceHandle(m);
}

static void installs(void)
{
    SC_HANDLE m = OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS), s;
    QUERY_SERVICE_CONFIGW *c = LocalAlloc(LPTR, 4096);
    DWORD n;

    s = CreateServiceW(m, own(L"service"), L"Words to show", SERVICE_ALL_ACCESS, SERVICE_WIN32_OWN_PROCESS, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, L"C:\\no.exe", NULL, NULL, NULL, NULL, NULL);
    say("CreateService", "%d", s != NULL);
    say("QueryServiceConfig", "%d", QueryServiceConfigW(s, c, 4096, &n));
    say("display name", "%s", plain(c->lpDisplayName));
    say("DeleteService", "%d", DeleteService(s));
    CloseServiceHandle(s);
    CloseServiceHandle(m);
}

static void volumes(void)
{
    wchar_t name[100], fs[50], dos[300];
    DWORD serial, most, flags;
    ULARGE_INTEGER free, total;

    say("C: among the drives", "%d", (GetLogicalDrives() >> 2) & 1);
    say("GetDriveType", "%u", GetDriveTypeW(L"C:\\"));
    say("GetVolumeInformation", "%d", GetVolumeInformationW(L"C:\\", name, 100, &serial, &most, &flags, fs, 50));
    say("volume", "%lu %s %lx", most, plain(fs), flags);
    say("GetDiskFreeSpaceEx", "%d", GetDiskFreeSpaceExW(L"C:\\", &free, &total, NULL) && total.QuadPart > 0);
    say("QueryDosDevice", "%d", QueryDosDeviceW(L"C:", dos, 300) > 0);
    say("GetVolumeNameForVolumeMountPoint", "%d", GetVolumeNameForVolumeMountPointW(L"C:\\", dos, 300));
    dos[11] = 0;
    say("begins with", "%s", plain(dos));
}

static void hardware(void)
{
    wchar_t b[300];
    DWORD m = sizeof b;

    say("CentralProcessor", "%ld", RegGetValueW(HKEY_LOCAL_MACHINE, L"Hardware\\Description\\System\\CentralProcessor\\0", L"ProcessorNameString", RRF_RT_REG_SZ, NULL, b, &m));
    m = sizeof b;
    say("~MHz", "%ld", RegGetValueW(HKEY_LOCAL_MACHINE, L"Hardware\\Description\\System\\CentralProcessor\\0", L"~MHz", RRF_RT_REG_DWORD, NULL, b, &m));
}

static void accounts(void)
{
    wchar_t user[300], name[300], domain[300], *text = NULL;
    BYTE sid[100], token[400];
    DWORD n = 300, s = sizeof sid, d = 300;
    SID_NAME_USE use = 0;
    HANDLE t;

    say("GetUserName", "%d", GetUserNameW(user, &n) && n > 1);
    say("LookupAccountName", "%d", LookupAccountNameW(NULL, user, sid, &s, domain, &d, &use));
    say("kind", "%d", use);
    n = d = 300;
    say("LookupAccountSid", "%d", LookupAccountSidW(NULL, sid, name, &n, domain, &d, &use));
    say("same user", "%d", !_wcsicmp(user, name));
    ConvertStringSidToSidW(L"S-1-5-32-544", (PSID *)&text);
    n = d = 300;
    LookupAccountSidW(NULL, text, name, &n, domain, &d, &use);
    say("S-1-5-32-544", "%s %s", plain(domain), plain(name));
    OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &t);
    say("GetTokenInformation", "%d", GetTokenInformation(t, TokenUser, token, sizeof token, &n));
    say("IsUserAnAdmin", "%d", CheckTokenMembership(NULL, text, (BOOL *)&n) && n);
}

int main(void)
{
    service(L"RpcSs");
    service(L"PlugPlay");
    service(L"MSIServer");
    service(L"no such service");
    installs();
    volumes();
    hardware();
    accounts();
    return 0;
}
