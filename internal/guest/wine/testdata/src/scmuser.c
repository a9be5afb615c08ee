/* scmuser: opens the service control manager and asks for the state of the service
 * PlugPlay; prints it and ends with 0. 3: no service control manager, 4: no such
 * service, 5: no state. Boot: full. */
#include <stdio.h>
#include <windows.h>

int main(void)
{
    SERVICE_STATUS st;
    SC_HANDLE m, s;

    m = OpenSCManagerA(NULL, NULL, SC_MANAGER_CONNECT);
    if (!m) {
        printf("no service control manager: error %lu\n", GetLastError());
        return 3;
    }
    s = OpenServiceA(m, "PlugPlay", SERVICE_QUERY_STATUS);
    if (!s) {
        printf("no service: error %lu\n", GetLastError());
        return 4;
    }
    if (!QueryServiceStatus(s, &st)) {
        printf("no state: error %lu\n", GetLastError());
        return 5;
    }
    printf("state %lu\n", st.dwCurrentState);
    return 0;
}
