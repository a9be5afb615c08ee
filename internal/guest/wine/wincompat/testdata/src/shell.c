/* shell: well-known folders, paths, file operations and launching, as shell32 and shlwapi do them.
 * The user's name is left out: folders are told relative to the profile. */
#include "found.h"
#include <shlobj.h>
#include <shlwapi.h>
#include <shellapi.h>

static wchar_t profile[MAX_PATH], temp[MAX_PATH];

static const char *below(const wchar_t *path)
{
    size_t n = wcslen(profile);

    if (_wcsnicmp(path, profile, n)) return plain(path);
    wcscpy(temp, L"PROFILE");
    wcscat(temp, path + n);
    return plain(temp);
}

static void folder(const char *name, int id)
{
    wchar_t path[MAX_PATH];
    HRESULT hr = SHGetFolderPathW(NULL, id | CSIDL_FLAG_CREATE, NULL, SHGFP_TYPE_CURRENT, path);

    if (hr) say(name, "0x%lx", hr);
    else say(name, "%s %d", below(path), GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES);
}

static void paths(void)
{
    wchar_t p[MAX_PATH], q[MAX_PATH];
    DWORD n = MAX_PATH;

    PathCombineW(p, L"C:\\a\\b", L"..\\c.txt");
    say("PathCombine", "%s", plain(p));
    PathRelativePathToW(p, L"C:\\a\\b", FILE_ATTRIBUTE_DIRECTORY, L"C:\\a\\c\\d", 0);
    say("PathRelativePathTo", "%s", plain(p));
    say("PathMatchSpec", "%d %d", PathMatchSpecW(L"file.TXT", L"*.txt"), PathMatchSpecW(L"a.c", L"*.h;*.c"));
    say("PathFindExtension", "%s", plain(PathFindExtensionW(L"C:\\x.y\\file.tar.gz")));
    PathCompactPathExW(p, L"C:\\a very long path\\that does not fit\\file.txt", 20, 0);
    say("PathCompactPathEx", "%s", plain(p));
    wcscpy(p, L"\"C:\\Program Files\\x.exe\" -a");
    PathRemoveArgsW(p);
    say("PathRemoveArgs", "%s", plain(p));
    StrFormatByteSizeW(123456789, q, MAX_PATH);
    say("StrFormatByteSize", "%s", plain(q));
    say("StrCmpLogical", "%d", StrCmpLogicalW(L"file10", L"file9"));
    UrlCombineW(L"http://host/a/b?c", L"../d e", q, &n, URL_ESCAPE_SPACES_ONLY);
    say("UrlCombine", "%s", plain(q));
    n = MAX_PATH;
    UrlCreateFromPathW(L"C:\\a b\\c.txt", q, &n, 0);
    say("UrlCreateFromPath", "%s", plain(q));
    say("PathFileExists", "%d %d", PathFileExistsW(L"C:\\windows\\system32"), PathFileExistsW(L"C:\\nothing"));
}

static void operations(void)
{
    wchar_t from[MAX_PATH] = { 0 }, to[MAX_PATH] = { 0 };
    SHFILEOPSTRUCTW op = { .wFunc = FO_COPY, .pFrom = from, .pTo = to, .fFlags = FOF_NO_UI };
    SHFILEINFOW info;
    DWORD n;
    HANDLE h;

    GetFullPathNameW(L"tree", MAX_PATH - 1, from, NULL);
    GetFullPathNameW(L"copy", MAX_PATH - 1, to, NULL);
    say("SHCreateDirectoryEx", "%d", SHCreateDirectoryExW(NULL, lstrcatW(lstrcpyW(temp, from), L"\\a\\b"), NULL));
    h = CreateFileW(L"tree\\a\\b\\file", GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    WriteFile(h, "x", 1, &n, NULL);
    CloseHandle(h);
    say("SHFileOperation copy", "%d", SHFileOperationW(&op));
    say("copied", "%lx", GetFileAttributesW(L"copy\\a\\b\\file"));
    say("SHGetFileInfo", "%d", SHGetFileInfoW(L"tree\\a\\b\\file", 0, &info, sizeof info, SHGFI_DISPLAYNAME) != 0);
    say("display name", "%s", plain(info.szDisplayName));
    say("FindExecutable", "%d", (int)(INT_PTR)FindExecutableW(L"nothing.xyz", NULL, temp) > 32);
}

int main(void)
{
    wchar_t **words, buf[MAX_PATH];
    int n;

    SHGetFolderPathW(NULL, CSIDL_PROFILE, NULL, 0, profile);
    say("profile", "%d", !_wcsnicmp(profile, L"C:\\users\\", 9));
    GetEnvironmentVariableW(L"USERPROFILE", buf, MAX_PATH);
    say("USERPROFILE", "%s", below(buf));
    folder("APPDATA", CSIDL_APPDATA);
    folder("LOCAL_APPDATA", CSIDL_LOCAL_APPDATA);
    folder("COMMON_APPDATA", CSIDL_COMMON_APPDATA);
    folder("PERSONAL", CSIDL_PERSONAL);
    folder("DESKTOP", CSIDL_DESKTOPDIRECTORY);
    folder("STARTMENU", CSIDL_STARTMENU);
    folder("FONTS", CSIDL_FONTS);
    folder("SYSTEM", CSIDL_SYSTEM);
    folder("WINDOWS", CSIDL_WINDOWS);
    folder("PROGRAM_FILES", CSIDL_PROGRAM_FILES);
    folder("COMMON_FILES", CSIDL_PROGRAM_FILES_COMMON);
    folder("COMMON_DOCUMENTS", CSIDL_COMMON_DOCUMENTS);
    folder("INTERNET_CACHE", CSIDL_INTERNET_CACHE);
    folder("no such", 0x7f);
    words = CommandLineToArgvW(L"prog \"a b\" c\\\"d \"e\\\\\" f", &n);
    say("CommandLineToArgv", "%d %s|%s|%s|%s", n, plain(words[1]), plain(words[2]), plain(words[3]), n > 4 ? plain(words[4]) : "");
    paths();
    operations();
    return 0;
}
