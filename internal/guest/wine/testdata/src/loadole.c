/* loadole: loads ole32.dll by name while it runs and calls CoInitialize. Nothing
 * in its import table says so, only the text of the name. Boot: full. */
#include <stdio.h>
#include <windows.h>

int main(void)
{
    HMODULE h = LoadLibraryW(L"ole32.dll");
    HRESULT(WINAPI * init)(void *);

    if (!h) return 3;
    init = (void *)GetProcAddress(h, "CoInitialize");
    printf("CoInitialize: 0x%08lX\n", init(NULL));
    return 0;
}
