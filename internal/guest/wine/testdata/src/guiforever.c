/* guiforever [MARKER]: a GUI program whose message loop never ends; it refuses to be
 * closed (WM_CLOSE, WM_QUERYENDSESSION). Writes MARKER when its window is there. Boot: full. */
#include <stdio.h>
#include <windows.h>

static LRESULT CALLBACK proc(HWND w, UINT m, WPARAM wp, LPARAM lp)
{
    if (m == WM_CLOSE || m == WM_QUERYENDSESSION) return 0;
    return DefWindowProcA(w, m, wp, lp);
}

int WINAPI WinMain(HINSTANCE self, HINSTANCE prev, LPSTR line, int show)
{
    WNDCLASSA c = { 0 };
    MSG m;
    FILE *f;

    (void)prev; (void)show;
    c.lpfnWndProc = proc;
    c.hInstance = self;
    c.lpszClassName = "muster-forever";
    RegisterClassA(&c);
    if (!CreateWindowA("muster-forever", "muster", WS_OVERLAPPEDWINDOW | WS_VISIBLE, 0, 0, 200, 100, NULL, NULL, self, NULL))
        return 3;
    if (*line && (f = fopen(line, "wb"))) {
        fputs("started\n", f);
        fclose(f);
    }
    for (;;) {
        if (GetMessageA(&m, NULL, 0, 0) > 0) DispatchMessageA(&m);
    }
}
