/* window: a program of the windows kind: classes, messages, timers, dialogs, menus, the clipboard,
 * hooks; a window that is shown where nobody looks. Needs a display, or Wine's null one. */
#include "found.h"

static int created, painted, timers, closed, customs, sized;
static HANDLE asked;

static LRESULT CALLBACK proc(HWND w, UINT m, WPARAM wp, LPARAM lp)
{
    PAINTSTRUCT ps;

    switch (m) {
    case WM_CREATE: created++; break;
    case WM_SIZE: sized++; break;
    case WM_PAINT: BeginPaint(w, &ps); FillRect(ps.hdc, &ps.rcPaint, GetStockObject(BLACK_BRUSH)); EndPaint(w, &ps); painted++; return 0;
    case WM_TIMER: if (++timers == 3) { KillTimer(w, 1); PostMessageW(w, WM_CLOSE, 0, 0); } return 0;
    case WM_USER + 1: customs++; return (LRESULT)(wp * 2 + lp);
    case WM_CLOSE: closed++; DestroyWindow(w); return 0;
    case WM_DESTROY: PostQuitMessage(17); return 0;
    }
    return DefWindowProcW(w, m, wp, lp);
}

static DWORD WINAPI sender(void *w)
{
    LRESULT r = SendMessageW(w, WM_USER + 1, 20, 2);

    PostThreadMessageW(GetWindowThreadProcessId(w, NULL), WM_APP, (WPARAM)r, 0);
    SetEvent(asked);
    return 0;
}

static void messages(void)
{
    HWND w = CreateWindowExW(0, L"STATIC", L"only messages", 0, 0, 0, 0, 0, HWND_MESSAGE, NULL, NULL, NULL);
    wchar_t buf[50];
    MSG m;

    say("message window", "%d", w != NULL);
    GetWindowTextW(w, buf, 50);
    say("its text", "%s", plain(buf));
    GetClassNameW(w, buf, 50);
    say("its class", "%s", plain(buf));
    PostMessageW(w, WM_USER, 1, 2);
    say("PeekMessage", "%d", PeekMessageW(&m, w, WM_USER, WM_USER, PM_REMOVE));
    say("message", "%d %d", (int)m.wParam, (int)m.lParam);
    say("no more", "%d", PeekMessageW(&m, w, WM_USER, WM_USER, PM_REMOVE));
    say("DestroyWindow", "%d", DestroyWindow(w));
    say("IsWindow", "%d", IsWindow(w));
}

static void controls(HWND parent)
{
    HWND list = CreateWindowExW(0, L"LISTBOX", NULL, WS_CHILD | LBS_SORT, 0, 0, 50, 50, parent, NULL, NULL, NULL), edit = CreateWindowExW(0, L"EDIT", L"first", WS_CHILD, 0, 0, 50, 20, parent, (HMENU)5, NULL, NULL);
    HMENU menu = CreatePopupMenu();
    wchar_t buf[50];

    SendMessageW(list, LB_ADDSTRING, 0, (LPARAM)L"pear");
    SendMessageW(list, LB_ADDSTRING, 0, (LPARAM)L"apple");
    SendMessageW(list, LB_ADDSTRING, 0, (LPARAM)L"\u00e4pfel");
    say("list", "%d %d", (int)SendMessageW(list, LB_GETCOUNT, 0, 0), (int)SendMessageW(list, LB_FINDSTRING, (WPARAM)-1, (LPARAM)L"pe"));
    SendMessageW(edit, EM_REPLACESEL, 0, (LPARAM)L"the ");
    GetDlgItemTextW(parent, 5, buf, 50);
    say("edit", "%s", plain(buf));
    SetDlgItemInt(parent, 5, 42, FALSE);
    say("GetDlgItemInt", "%u", GetDlgItemInt(parent, 5, NULL, FALSE));
    AppendMenuW(menu, MF_STRING | MF_CHECKED, 7, L"&Item");
    say("menu", "%d %x", GetMenuItemCount(menu), GetMenuState(menu, 7, MF_BYCOMMAND));
    DestroyMenu(menu);
}

/* Private to this window: nothing is put on the clipboard, which all share. */
static void properties(HWND w)
{
    RECT r = { 0, 0, 100, 50 };

    SetPropW(w, L"wincompat", (HANDLE)9);
    say("GetProp", "%d", (int)(INT_PTR)GetPropW(w, L"wincompat"));
    SetWindowLongPtrW(w, GWLP_USERDATA, 1234567890123ll);
    say("GetWindowLongPtr", "%I64d", (long long)GetWindowLongPtrW(w, GWLP_USERDATA));
    AdjustWindowRect(&r, WS_OVERLAPPED, FALSE);
    say("AdjustWindowRect", "%d", r.left < 0 && r.right - r.left >= 100);
    MoveWindow(w, 10, 20, 300, 200, FALSE);
    GetWindowRect(w, &r);
    say("GetWindowRect", "%ld %ld %ld %ld", r.left, r.top, r.right, r.bottom);
    say("RegisterWindowMessage", "%d", RegisterWindowMessageW(L"wincompat") >= 0xC000);
    say("atom", "%d", GlobalFindAtomW(L"wincompat-none") == 0);
}

int WINAPI WinMain(HINSTANCE self, HINSTANCE before, LPSTR line, int show)
{
    WNDCLASSEXW c = { .cbSize = sizeof c, .lpfnWndProc = proc, .hInstance = self, .lpszClassName = L"wincompat", .hbrBackground = (HBRUSH)(COLOR_WINDOW + 1) };
    LRESULT answer = 0;
    HANDLE t;
    HWND w;
    MSG m;

    (void)before; (void)line; (void)show;
    messages();
    say("RegisterClassEx", "%d", RegisterClassExW(&c) != 0);
    tried("again", RegisterClassExW(&c));
    w = CreateWindowExW(0, L"wincompat", L"t\u00eftle", WS_OVERLAPPEDWINDOW, 0, 0, 200, 100, NULL, NULL, self, NULL);
    say("CreateWindowEx", "%d", w != NULL);
    if (!w) return 1;
    controls(w);
    properties(w);
    ShowWindow(w, SW_SHOWNORMAL);
    say("visible", "%d", IsWindowVisible(w));
    UpdateWindow(w);
    asked = CreateEventW(NULL, FALSE, FALSE, NULL);
    t = CreateThread(NULL, 0, sender, w, 0, NULL);
    SetTimer(w, 1, 10, NULL);
    while (GetMessageW(&m, NULL, 0, 0) > 0) {
        if (!m.hwnd && m.message == WM_APP) answer = (LRESULT)m.wParam;
        TranslateMessage(&m);
        DispatchMessageW(&m);
    }
    WaitForSingleObject(t, INFINITE);
    say("loop ends with", "%d", (int)m.wParam);
    say("created, timers, closed", "%d %d %d", created, timers, closed);
    say("painted, sized", "%d %d", painted > 0, sized > 0);
    say("asked by a thread", "%d %d", customs, (int)answer);
    say("UnregisterClass", "%d", UnregisterClassW(L"wincompat", self));
    return (int)m.wParam;
}
