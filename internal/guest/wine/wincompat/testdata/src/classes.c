/* classes: what setup and COM have in the registry, and the rules of time zones in past years. */
#include "found.h"
#include "lookup.h"

int main(void)
{
    static const wchar_t dynamic[] = L"Software\\Microsoft\\Windows NT\\CurrentVersion\\Time Zones\\Eastern Standard Time\\Dynamic DST";

    known(HKEY_CLASSES_ROOT, L".txt", NULL);
    known(HKEY_CLASSES_ROOT, L"CLSID\\{00021401-0000-0000-C000-000000000046}\\InProcServer32", NULL);
    known(HKEY_CLASSES_ROOT, L"CLSID\\{00021401-0000-0000-C000-000000000046}\\InProcServer32", L"ThreadingModel");
    known(HKEY_CLASSES_ROOT, L"Interface\\{00000000-0000-0000-C000-000000000046}", NULL);
    known(HKEY_CLASSES_ROOT, L"WScript.Shell\\CLSID", NULL);
    known(HKEY_CLASSES_ROOT, L"Scripting.FileSystemObject\\CLSID", NULL);
    known(HKEY_CLASSES_ROOT, L"Msxml2.DOMDocument.6.0\\CLSID", NULL);
    many(HKEY_CLASSES_ROOT, L"CLSID", FALSE);
    many(HKEY_CLASSES_ROOT, L"Interface", FALSE);
    many(HKEY_CLASSES_ROOT, L"TypeLib", FALSE);
    many(HKEY_CLASSES_ROOT, L"MIME\\Database\\Content Type", FALSE);
    many(HKEY_LOCAL_MACHINE, L"Software\\Classes\\Wow6432Node\\CLSID", FALSE);
    known(HKEY_LOCAL_MACHINE, dynamic, L"2006");
    known(HKEY_LOCAL_MACHINE, dynamic, L"FirstEntry");
    return 0;
}
