/* messagebox: shows a message box, as an old program does on an error, and waits
 * for the click that no one in a batch makes; ends with 0 after it. Boot: full. */
#include <windows.h>

int WINAPI WinMain(HINSTANCE self, HINSTANCE prev, LPSTR line, int show)
{
    (void)self; (void)prev; (void)line; (void)show;
    MessageBoxA(NULL, "Press OK to continue", "muster", MB_OK | MB_ICONERROR);
    return 0;
}
