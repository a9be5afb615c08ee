/* bootevent: says how the boot event of its Wine server (\KernelObjects\__wineboot_event)
 * stands: "set" (exit 0), "unset" (1: a start from outside would wait), "none" (2:
 * the next start from outside would boot). Shows whether a holder does its work. Boot: lean. */
#include <stdio.h>
#include <windows.h>
#include <winternl.h>

NTSTATUS NTAPI NtOpenEvent(PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES);

int main(void)
{
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attr;
    HANDLE h;

    RtlInitUnicodeString(&name, L"\\KernelObjects\\__wineboot_event");
    InitializeObjectAttributes(&attr, &name, 0, NULL, NULL);
    if (NtOpenEvent(&h, SYNCHRONIZE, &attr) != 0) {
        puts("none");
        return 2;
    }
    if (WaitForSingleObject(h, 0) != WAIT_OBJECT_0) {
        puts("unset");
        return 1;
    }
    puts("set");
    return 0;
}
