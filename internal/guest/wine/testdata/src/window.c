/* window [MARKER]: a GUI program (subsystem windows) that opens a window, paints
 * it, writes "painted" to MARKER and ends with 0 after 200 ms; 3: no window. Boot: full. */
#include <stdio.h>
#include <windows.h>

static LRESULT CALLBACK proc(HWND w, UINT m, WPARAM wp, LPARAM lp)
{
    PAINTSTRUCT ps;

    switch (m) {
    case WM_PAINT:
        BeginPaint(w, &ps);
        TextOutA(ps.hdc, 10, 10, "hello", 5);
        EndPaint(w, &ps);
        return 0;
    case WM_TIMER:
        DestroyWindow(w);
        return 0;
    case WM_DESTROY:
        PostQuitMessage(0);
        return 0;
    }
    return DefWindowProcA(w, m, wp, lp);
}

int WINAPI WinMain(HINSTANCE self, HINSTANCE prev, LPSTR line, int show)
{
    WNDCLASSA c = { 0 };
    HWND w;
    MSG m;
    FILE *f;

    (void)prev; (void)show;
    c.lpfnWndProc = proc;
    c.hInstance = self;
    c.lpszClassName = "muster-window";
    if (!RegisterClassA(&c)) return 3;
    w = CreateWindowA("muster-window", "muster", WS_OVERLAPPEDWINDOW | WS_VISIBLE, 0, 0, 200, 100, NULL, NULL, self, NULL);
    if (!w) return 3;
    UpdateWindow(w);
    SetTimer(w, 1, 200, NULL);
    while (GetMessageA(&m, NULL, 0, 0) > 0) DispatchMessageA(&m);
    if (*line) {
        f = fopen(line, "wb");
        if (!f) return 4;
        fputs("painted\n", f);
        fclose(f);
    }
    return 0;
}
