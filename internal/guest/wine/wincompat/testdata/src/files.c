/* files: sharing, listing, times, attributes, long and Unicode names, locks, temporary
 * files, the working folder. All in the folder in which it is started, and in the temporary one. */
#include <stdlib.h>
#include <string.h>
#include "found.h"

static HANDLE make(const wchar_t *name, const char *text)
{
    HANDLE h = CreateFileW(name, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, CREATE_ALWAYS, 0, NULL);
    DWORD n;

    if (h != INVALID_HANDLE_VALUE) WriteFile(h, text, (DWORD)strlen(text), &n, NULL);
    return h;
}

static DWORD open_as(const wchar_t *name, DWORD access, DWORD share, DWORD how)
{
    HANDLE h = CreateFileW(name, access, share, NULL, how, 0, NULL);
    DWORD e = GetLastError();

    if (h == INVALID_HANDLE_VALUE) return e;
    CloseHandle(h);
    return 0;
}

static void sharing(void)
{
    HANDLE h = CreateFileW(L"alone.txt", GENERIC_READ | GENERIC_WRITE, 0, NULL, CREATE_NEW, 0, NULL);

    say("open what is open alone", "%lu", open_as(L"alone.txt", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, OPEN_EXISTING));
    tried("delete it", DeleteFileW(L"alone.txt"));
    CloseHandle(h);
    h = CreateFileW(L"alone.txt", GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    say("two readers", "%lu", open_as(L"alone.txt", GENERIC_READ, FILE_SHARE_READ, OPEN_EXISTING));
    say("a writer too", "%lu", open_as(L"alone.txt", GENERIC_WRITE, FILE_SHARE_READ, OPEN_EXISTING));
    CloseHandle(h);
    say("CREATE_NEW", "%lu", open_as(L"alone.txt", GENERIC_WRITE, 0, CREATE_NEW));
    say("OPEN_EXISTING", "%lu", open_as(L"gone.txt", GENERIC_READ, 0, OPEN_EXISTING));
    say("a folder that is not there", "%lu", open_as(L"no\\gone.txt", GENERIC_READ, 0, OPEN_EXISTING));
    say("a bad name", "%lu", open_as(L"a<b>.txt", GENERIC_WRITE, 0, CREATE_ALWAYS));
    say("a folder", "%lu", open_as(L".", GENERIC_READ, 0, OPEN_EXISTING));
    say("NUL", "%lu", open_as(L"NUL", GENERIC_WRITE, 0, OPEN_EXISTING));
    h = make(L"doomed.txt", "x");
    say("delete an open file", "%d", DeleteFileW(L"doomed.txt"));
    CloseHandle(h);
    say("it is gone", "%lu", GetFileAttributesW(L"doomed.txt"));
    h = CreateFileW(L"closing.txt", GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
    CloseHandle(h);
    say("deleted on close", "%lu", GetFileAttributesW(L"closing.txt"));
}

static int by_name(const void *a, const void *b) { return wcscmp(*(wchar_t *const *)a, *(wchar_t *const *)b); }

static void list(const char *what, const wchar_t *pattern)
{
    WIN32_FIND_DATAW d;
    wchar_t *names[50];
    HANDLE h = FindFirstFileW(pattern, &d);
    char line[1000] = "";
    int n = 0, i;

    if (h == INVALID_HANDLE_VALUE) {
        say(what, "error %lu", GetLastError());
        return;
    }
    do names[n++] = _wcsdup(d.cFileName); while (n < 50 && FindNextFileW(h, &d));
    say("listing ends with", "%lu", GetLastError());
    FindClose(h);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (i = 0; i < n; i++) strcat(strcat(line, plain(names[i])), "|");
    say(what, "%d %s", n, line);
}

static void listing(void)
{
    CreateDirectoryW(L"list", NULL);
    CloseHandle(make(L"list\\One.txt", "1"));
    CloseHandle(make(L"list\\two.dat", "22"));
    CloseHandle(make(L"list\\three", "333"));
    CloseHandle(make(L"list\\\u00fcml\u00e4ut.txt", ""));
    CloseHandle(make(L"list\\\u65e5\u672c\u8a9e.txt", ""));
    CloseHandle(make(L"list\\with blanks and (brackets).TXT", ""));
    CreateDirectoryW(L"list\\sub", NULL);
    list("everything", L"list\\*");
    list("*.*", L"list\\*.*");
    list("*.txt", L"list\\*.txt");
    list("t?o.*", L"list\\t?o.*");
    list("<.txt", L"list\\no*");
    say("case does not count", "%lu", open_as(L"LIST\\oNE.TXT", GENERIC_READ, 0, OPEN_EXISTING));
    say("nor in Unicode", "%lu", open_as(L"list\\\u00dcML\u00c4UT.txt", GENERIC_READ, 0, OPEN_EXISTING));
    say("slashes", "%lu", open_as(L"list/sub/../One.txt", GENERIC_READ, 0, OPEN_EXISTING));
    tried("RemoveDirectory", RemoveDirectoryW(L"list"));
    tried("CreateDirectory", CreateDirectoryW(L"list", NULL));
}

static void attributes(void)
{
    FILETIME t = { 0x12345680, 0x01d00000 }, c, a, w;
    BY_HANDLE_FILE_INFORMATION i;
    WIN32_FILE_ATTRIBUTE_DATA data;
    SYSTEMTIME s;
    HANDLE h = make(L"facts.txt", "0123456789");
    LARGE_INTEGER size;
    int ok;

    ok = SetFileTime(h, NULL, NULL, &t);
    GetFileTime(h, &c, &a, &w);
    FileTimeToSystemTime(&w, &s);
    say("time written", "%d %08lx %08lx", ok, w.dwHighDateTime, w.dwLowDateTime);
    say("as a date", "%u-%u-%u %u:%u:%u.%u", s.wYear, s.wMonth, s.wDay, s.wHour, s.wMinute, s.wSecond, s.wMilliseconds);
    GetFileInformationByHandle(h, &i);
    say("links", "%lu", i.nNumberOfLinks);
    GetFileSizeEx(h, &size);
    say("size", "%I64d", size.QuadPart);
    say("type", "%lu", GetFileType(h));
    CloseHandle(h);
    say("attributes", "%lx", GetFileAttributesW(L"facts.txt"));
    say("of a folder", "%lx", GetFileAttributesW(L"."));
    ok = SetFileAttributesW(L"facts.txt", FILE_ATTRIBUTE_READONLY);
    say("read-only", "%d %lx", ok, GetFileAttributesW(L"facts.txt"));
    say("write to it", "%lu", open_as(L"facts.txt", GENERIC_WRITE, 0, OPEN_EXISTING));
    tried("delete it", DeleteFileW(L"facts.txt"));
    SetFileAttributesW(L"facts.txt", FILE_ATTRIBUTE_NORMAL);
    GetFileAttributesExW(L"facts.txt", GetFileExInfoStandard, &data);
    say("GetFileAttributesEx", "%lu %lx", data.nFileSizeLow, data.ftLastWriteTime.dwHighDateTime);
    say("CreateHardLink", "%d", CreateHardLinkW(L"second.txt", L"facts.txt", NULL));
    tried("copy fails if there", CopyFileW(L"facts.txt", L"second.txt", TRUE));
    say("CopyFile", "%d", CopyFileW(L"facts.txt", L"copy.txt", FALSE));
    tried("MoveFile over", MoveFileW(L"copy.txt", L"second.txt"));
    say("MoveFileEx over", "%d", MoveFileExW(L"copy.txt", L"second.txt", MOVEFILE_REPLACE_EXISTING));
    tried("ReplaceFile", ReplaceFileW(L"facts.txt", L"second.txt", NULL, 0, NULL, NULL));
}

static void names(void)
{
    wchar_t buf[2000], part[300], *file = NULL;
    DWORD n, i;

    GetFullPathNameW(L"C:\\a\\.\\b\\..\\c.txt", 2000, buf, &file);
    say("GetFullPathName", "%s %s", plain(buf), plain(file));
    GetFullPathNameW(L"C:\\x.\\y ", 2000, buf, NULL);
    say("trailing dots", "%s", plain(buf));
    GetFullPathNameW(L"\\\\server\\share\\..\\f", 2000, buf, NULL);
    say("UNC", "%s", plain(buf));
    GetFullPathNameW(L"com1", 2000, buf, NULL);
    say("device", "%s", plain(buf));
    GetLongPathNameW(L"c:\\WINDOWS\\SYSTEM32", buf, 2000);
    say("GetLongPathName", "%s", plain(buf));
    n = GetShortPathNameW(L"C:\\Program Files", buf, 2000);
    say("GetShortPathName", "%lu", n);
    wcscpy(buf, L"\\\\?\\");
    GetCurrentDirectoryW(1900, buf + 4);
    if (buf[wcslen(buf) - 1] != '\\') wcscat(buf, L"\\");
    for (i = 0; i < 120; i++) part[i] = (wchar_t)(L'a' + i % 26);
    part[120] = 0;
    for (i = 0; i < 4; i++) {
        wcscat(wcscat(buf, i ? L"\\" : L""), part);
        if (!CreateDirectoryW(buf, NULL)) break;
    }
    say("long path", "%lu folders", i);
    say("long path is there", "%lx", GetFileAttributesW(buf));
    wcscat(buf, L"\\\U0001F600.bin");
    CloseHandle(make(buf, "deep"));
    say("long path's file", "%lu", open_as(buf, GENERIC_READ, 0, OPEN_EXISTING));
    say("SearchPath", "%d", SearchPathW(NULL, L"kernel32.dll", NULL, 2000, buf, &file) > 0);
}

static void locks(void)
{
    HANDLE a = make(L"locked.txt", "0123456789"), b = CreateFileW(L"locked.txt", GENERIC_READ | GENERIC_WRITE, 7, NULL, OPEN_EXISTING, 0, NULL);
    OVERLAPPED o = { .Offset = 2 };
    char buf[10];
    DWORD n;
    int ok;

    say("LockFileEx", "%d", LockFileEx(a, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 4, 0, &o));
    tried("lock again", LockFileEx(b, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 4, 0, &o));
    ok = ReadFile(b, buf, 2, &n, NULL);
    say("read beside the lock", "%d %lu", ok, n);
    say("UnlockFileEx", "%d", UnlockFileEx(a, 0, 4, 0, &o));
    tried("unlock again", UnlockFileEx(a, 0, 4, 0, &o));
    SetFilePointer(a, 4, NULL, FILE_BEGIN);
    tried("SetEndOfFile", SetEndOfFile(a));
    say("then it has", "%lu", GetFileSize(b, NULL));
    SetFilePointer(a, 100, NULL, FILE_BEGIN);
    WriteFile(a, "end", 3, &n, NULL);
    say("a hole", "%lu", GetFileSize(a, NULL));
    tried("before the beginning", SetFilePointer(a, -1000, NULL, FILE_BEGIN) != INVALID_SET_FILE_POINTER);
    CloseHandle(a);
    CloseHandle(b);
}

static void overlapped(void)
{
    HANDLE h = CreateFileW(L"overlapped.bin", GENERIC_READ | GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_FLAG_OVERLAPPED, NULL), port;
    OVERLAPPED o = { .Offset = 1000, .hEvent = CreateEventW(NULL, TRUE, FALSE, NULL) }, *done = NULL;
    char buf[8] = "";
    ULONG_PTR key = 0;
    DWORD n = 0;
    int ok;

    WriteFile(h, "overlap", 7, NULL, &o);
    ok = GetOverlappedResult(h, &o, &n, TRUE);
    say("overlapped write", "%d %lu", ok, n);
    ReadFile(h, buf, 7, NULL, &o);
    ok = GetOverlappedResult(h, &o, &n, TRUE);
    say("overlapped read", "%d %lu %s", ok, n, buf);
    port = CreateIoCompletionPort(h, NULL, 42, 1);
    o.hEvent = NULL;
    ReadFile(h, buf, 4, NULL, &o);
    ok = GetQueuedCompletionStatus(port, &n, &key, &done, INFINITE);
    say("completion port", "%d %lu %d %d", ok, n, (int)key, done == &o);
    PostQueuedCompletionStatus(port, 5, 6, NULL);
    ok = GetQueuedCompletionStatus(port, &n, &key, &done, INFINITE);
    say("posted", "%d %lu %d %d", ok, n, (int)key, done == NULL);
    tried("nothing more", GetQueuedCompletionStatus(port, &n, &key, &done, 0));
    o.Offset = 100000;
    ok = ReadFile(h, buf, 4, NULL, &o) || GetLastError() == ERROR_IO_PENDING;
    tried("read past the end", ok && GetOverlappedResult(h, &o, &n, TRUE));
    CloseHandle(h);
}

static void folders(void)
{
    wchar_t temp[MAX_PATH], name[MAX_PATH], here[MAX_PATH], back[MAX_PATH], windows[MAX_PATH];
    HANDLE change;
    int ok;

    say("GetTempPath", "%d", GetTempPathW(MAX_PATH, temp) > 3 && temp[wcslen(temp) - 1] == '\\');
    say("GetTempFileName", "%d", GetTempFileNameW(temp, L"win", 0, name) != 0);
    say("it is empty", "%lx", GetFileAttributesW(name));
    say("DeleteFile", "%d", DeleteFileW(name));
    GetTempFileNameW(temp, L"win", 0xabcd, name);
    say("a named one", "%s", plain(wcsrchr(name, '\\')));
    GetCurrentDirectoryW(MAX_PATH, here);
    say("SetCurrentDirectory", "%d", SetCurrentDirectoryW(L"list\\sub"));
    GetCurrentDirectoryW(MAX_PATH, back);
    say("is below", "%d %s", !wcsncmp(here, back, wcslen(here)), plain(back + wcslen(here)));
    SetCurrentDirectoryW(here);
    tried("SetCurrentDirectory nowhere", SetCurrentDirectoryW(L"nowhere"));
    GetWindowsDirectoryW(windows, MAX_PATH);
    SetCurrentDirectoryW(windows);
    GetCurrentDirectoryW(MAX_PATH, back);
    say("in Windows", "%s", plain(back));
    SetCurrentDirectoryW(here);
    change = FindFirstChangeNotificationW(L"list", FALSE, FILE_NOTIFY_CHANGE_FILE_NAME);
    say("change is waited for", "%d", change != INVALID_HANDLE_VALUE);
    CloseHandle(make(L"list\\new.txt", ""));
    ok = (int)WaitForSingleObject(change, 20000);
    say("change is seen", "%d", ok);
    FindCloseChangeNotification(change);
}

static void profile(void)
{
    wchar_t buf[100], full[1000];
    GetFullPathNameW(L"settings.ini", 1000, full, NULL);
    say("WritePrivateProfileString", "%d", WritePrivateProfileStringW(L"part", L"key", L"value", full));
    GetPrivateProfileStringW(L"part", L"key", L"none", buf, 100, full);
    say("GetPrivateProfileString", "%s", plain(buf));
    say("GetPrivateProfileInt", "%u", GetPrivateProfileIntW(L"part", L"absent", 17, full));
}

int main(void)
{
    sharing();
    listing();
    attributes();
    names();
    locks();
    overlapped();
    folders();
    profile();
    return 0;
}
