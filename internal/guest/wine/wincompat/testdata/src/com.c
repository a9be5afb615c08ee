/* com: objects in the process (shell link, XML, streams, storages), registration, marshalling
 * between apartments, and a server in a process of its own. */
#define COBJMACROS
#define CINTERFACE
#include <initguid.h>
#include "found.h"
#include <objbase.h>
#include <shlobj.h>
#include <msxml2.h>

static void allocator(void)
{
    IMalloc *m = NULL;
    GUID a, b;
    wchar_t text[50];
    void *p;

    say("CoGetMalloc", "0x%lx", CoGetMalloc(1, &m));
    p = IMalloc_Alloc(m, 100);
    say("IMalloc", "%d %d", (int)IMalloc_GetSize(m, p), IMalloc_DidAlloc(m, p));
    IMalloc_Free(m, p);
    say("CoCreateGuid", "0x%lx", CoCreateGuid(&a));
    CoCreateGuid(&b);
    say("two are two", "%d", !IsEqualGUID(&a, &b));
    say("StringFromGUID2", "%d", StringFromGUID2(&CLSID_ShellLink, text, 50));
    say("is", "%s", plain(text));
    say("CLSIDFromProgID", "0x%lx", CLSIDFromProgID(L"Msxml2.DOMDocument", &a));
    say("of nothing", "0x%lx", CLSIDFromProgID(L"No.Such.Thing", &b));
    say("ProgIDFromCLSID", "0x%lx", ProgIDFromCLSID(&a, (wchar_t **)&p));
    say("is", "%s", plain(p));
}

static void shell_link(void)
{
    IShellLinkW *l = NULL, *m = NULL;
    IPersistFile *f = NULL;
    wchar_t name[MAX_PATH + 20], buf[300];
    HRESULT hr = CoCreateInstance(&CLSID_ShellLink, NULL, CLSCTX_INPROC_SERVER, &IID_IShellLinkW, (void **)&l);
    int key = 0;

    say("CLSID_ShellLink", "0x%lx", hr);
    if (FAILED(hr)) return;
    IShellLinkW_SetPath(l, L"C:\\windows\\notepad.exe");
    IShellLinkW_SetArguments(l, L"-a \"b c\" \u00e9");
    IShellLinkW_SetDescription(l, L"words");
    IShellLinkW_SetWorkingDirectory(l, L"C:\\windows");
    IShellLinkW_SetHotkey(l, 0x341);
    say("IPersistFile", "0x%lx", IShellLinkW_QueryInterface(l, &IID_IPersistFile, (void **)&f));
    GetFullPathNameW(L"one.lnk", MAX_PATH, name, NULL);
    say("Save", "0x%lx", IPersistFile_Save(f, name, TRUE));
    IPersistFile_Release(f);
    IShellLinkW_Release(l);
    CoCreateInstance(&CLSID_ShellLink, NULL, CLSCTX_INPROC_SERVER, &IID_IShellLinkW, (void **)&m);
    IShellLinkW_QueryInterface(m, &IID_IPersistFile, (void **)&f);
    say("Load", "0x%lx", IPersistFile_Load(f, name, STGM_READ));
    IShellLinkW_GetPath(m, buf, 300, NULL, 0);
    say("GetPath", "%s", plain(buf));
    IShellLinkW_GetArguments(m, buf, 300);
    say("GetArguments", "%s", plain(buf));
    IShellLinkW_GetHotkey(m, (WORD *)&key);
    say("GetHotkey", "%x", key);
    say("another interface", "0x%lx", IShellLinkW_QueryInterface(m, &IID_IStream, (void **)&l));
    say("Release", "%lu", IPersistFile_Release(f));
    say("last Release", "%lu", IShellLinkW_Release(m));
}

static void streams(void)
{
    IStream *s = NULL, *copy = NULL;
    IStorage *storage = NULL, *again = NULL;
    LARGE_INTEGER zero = { .QuadPart = 0 };
    ULARGE_INTEGER at;
    STATSTG st;
    HGLOBAL memory;
    char buf[32] = "";
    ULONG n;
    HRESULT hr;

    say("CreateStreamOnHGlobal", "0x%lx", CreateStreamOnHGlobal(NULL, TRUE, &s));
    hr = IStream_Write(s, "stream of bytes", 15, &n);
    say("Write", "0x%lx %lu", hr, n);
    IStream_Clone(s, &copy);
    IStream_Seek(copy, zero, STREAM_SEEK_SET, &at);
    hr = IStream_Read(copy, buf, 31, &n);
    say("Read", "0x%lx %lu %s", hr, n, buf);
    IStream_Stat(s, &st, STATFLAG_NONAME);
    say("Stat", "%I64u", st.cbSize.QuadPart);
    GetHGlobalFromStream(s, &memory);
    say("GetHGlobalFromStream", "%d", GlobalSize(memory) >= 15);
    IStream_Release(copy);
    IStream_Release(s);
    hr = StgCreateDocfile(L"storage.bin", STGM_CREATE | STGM_READWRITE | STGM_SHARE_EXCLUSIVE, 0, &storage);
    say("StgCreateDocfile", "0x%lx", hr);
    IStorage_CreateStream(storage, L"contents", STGM_CREATE | STGM_WRITE | STGM_SHARE_EXCLUSIVE, 0, 0, &s);
    IStream_Write(s, "stored", 6, NULL);
    IStream_Release(s);
    IStorage_Release(storage);
    hr = StgOpenStorage(L"storage.bin", NULL, STGM_READ | STGM_SHARE_EXCLUSIVE, NULL, 0, &again);
    say("StgOpenStorage", "0x%lx", hr);
    hr = IStorage_OpenStream(again, L"contents", NULL, STGM_READ | STGM_SHARE_EXCLUSIVE, 0, &s);
    memset(buf, 0, sizeof buf);
    IStream_Read(s, buf, 31, &n);
    say("stored", "0x%lx %lu %s", hr, n, buf);
    say("StgIsStorageFile", "0x%lx", StgIsStorageFile(L"storage.bin"));
}

static void xml(void)
{
    static const GUID clsid = { 0xf6d90f11, 0x9c73, 0x11d3, { 0xb3, 0x2e, 0x00, 0xc0, 0x4f, 0x99, 0x0b, 0xb4 } };
    IXMLDOMDocument *d = NULL;
    IXMLDOMNodeList *list = NULL;
    IXMLDOMNode *node = NULL;
    VARIANT_BOOL ok = 0;
    BSTR text = NULL, source = SysAllocString(L"<list><item n='1'>one</item><item n='2'>tw\u00f6</item></list>"), path = SysAllocString(L"/list/item[@n='2']");
    LONG n = 0;
    HRESULT hr = CoCreateInstance(&clsid, NULL, CLSCTX_INPROC_SERVER, &IID_IXMLDOMDocument, (void **)&d);

    say("DOMDocument", "0x%lx", hr);
    if (FAILED(hr)) return;
    hr = IXMLDOMDocument_loadXML(d, source, &ok);
    say("loadXML", "0x%lx %d", hr, ok);
    IXMLDOMDocument_getElementsByTagName(d, source = SysAllocString(L"item"), &list);
    IXMLDOMNodeList_get_length(list, &n);
    say("items", "%ld", n);
    hr = IXMLDOMDocument_selectSingleNode(d, path, &node);
    say("selectSingleNode", "0x%lx", hr);
    if (hr == S_OK) {
        IXMLDOMNode_get_text(node, &text);
        say("text", "%s", plain(text));
        IXMLDOMNode_get_xml(node, &text);
        say("xml", "%s", plain(text));
    }
    hr = IXMLDOMDocument_loadXML(d, SysAllocString(L"<open>"), &ok);
    say("bad XML", "0x%lx %d", hr, ok);
    IXMLDOMDocument_Release(d);
}

static IStream *between;

static DWORD WINAPI other_apartment(void *arg)
{
    IXMLDOMDocument *d = NULL;
    LONG ready = -1;
    HRESULT hr, *result = arg;

    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    hr = CoGetInterfaceAndReleaseStream(between, &IID_IXMLDOMDocument, (void **)&d);
    if (SUCCEEDED(hr)) {
        hr = IXMLDOMDocument_get_readyState(d, &ready);
        IXMLDOMDocument_Release(d);
    }
    result[0] = hr;
    result[1] = ready;
    CoUninitialize();
    return 0;
}

static void marshalled(void)
{
    static const GUID clsid = { 0xf6d90f11, 0x9c73, 0x11d3, { 0xb3, 0x2e, 0x00, 0xc0, 0x4f, 0x99, 0x0b, 0xb4 } };
    IXMLDOMDocument *d = NULL;
    HRESULT result[2] = { -1, -1 };
    HANDLE t;
    DWORD i;
    MSG m;

    CoCreateInstance(&clsid, NULL, CLSCTX_INPROC_SERVER, &IID_IXMLDOMDocument, (void **)&d);
    say("marshal", "0x%lx", CoMarshalInterThreadInterfaceInStream(&IID_IXMLDOMDocument, (IUnknown *)d, &between));
    t = CreateThread(NULL, 0, other_apartment, result, 0, NULL);
    while ((i = MsgWaitForMultipleObjects(1, &t, FALSE, INFINITE, QS_ALLINPUT)) == WAIT_OBJECT_0 + 1)
        while (PeekMessageW(&m, NULL, 0, 0, PM_REMOVE)) DispatchMessageW(&m);
    say("called from another apartment", "0x%lx %ld", result[0], result[1]);
    IXMLDOMDocument_Release(d);
}

static const GUID none_at_all;

static void script(void)
{
    IDispatch *d = NULL;
    DISPPARAMS params = { 0 };
    VARIANT arg, result;
    DISPID id;
    CLSID clsid;
    wchar_t *name = L"ExpandEnvironmentStrings";
    HRESULT hr = CLSIDFromProgID(L"WScript.Shell", &clsid);

    if (SUCCEEDED(hr)) hr = CoCreateInstance(&clsid, NULL, CLSCTX_INPROC_SERVER, &IID_IDispatch, (void **)&d);
    say("WScript.Shell", "0x%lx", hr);
    if (FAILED(hr)) return;
    hr = IDispatch_GetIDsOfNames(d, &none_at_all, &name, 1, 0x409, &id);
    say("GetIDsOfNames", "0x%lx", hr);
    V_VT(&arg) = VT_BSTR;
    V_BSTR(&arg) = SysAllocString(L"%SystemRoot%\\x");
    params.rgvarg = &arg;
    params.cArgs = 1;
    VariantInit(&result);
    hr = IDispatch_Invoke(d, id, &none_at_all, 0x409, DISPATCH_METHOD, &params, &result, NULL, NULL);
    say("Invoke", "0x%lx %s", hr, V_VT(&result) == VT_BSTR ? plain(V_BSTR(&result)) : "");
    IDispatch_Release(d);
}

/* The background transfer service: svchost, which rpcss has services start. */
static void out_of_process(void)
{
    static const GUID transfers = { 0x4991d34b, 0x80a1, 0x4291, { 0x83, 0xb6, 0x33, 0x28, 0x36, 0x6b, 0x90, 0x97 } };
    static const GUID manager = { 0x5ce34c0d, 0x0dc9, 0x4c1f, { 0x89, 0x7c, 0xda, 0xa1, 0xb7, 0x8c, 0xee, 0x7c } };
    IUnknown *u = NULL, *m = NULL;
    HRESULT hr = CoCreateInstance(&transfers, NULL, CLSCTX_LOCAL_SERVER, &IID_IUnknown, (void **)&u);

    say("a server of its own", "0x%lx", hr);
    if (u) {
        say("its interface", "0x%lx", IUnknown_QueryInterface(u, &manager, (void **)&m));
        say("not its interface", "0x%lx", IUnknown_QueryInterface(u, &IID_IStream, (void **)&m));
        IUnknown_Release(u);
    }
    say("no such class", "0x%lx", CoCreateInstance(&IID_IStream, NULL, CLSCTX_ALL, &IID_IUnknown, (void **)&u));
}

int main(void)
{
    say("before CoInitialize", "0x%lx", CoCreateInstance(&CLSID_ShellLink, NULL, CLSCTX_INPROC_SERVER, &IID_IShellLinkW, (void **)&between));
    say("CoInitializeEx", "0x%lx", CoInitializeEx(NULL, COINIT_APARTMENTTHREADED));
    say("again", "0x%lx", CoInitializeEx(NULL, COINIT_APARTMENTTHREADED));
    say("otherwise", "0x%lx", CoInitializeEx(NULL, COINIT_MULTITHREADED));
    allocator();
    shell_link();
    streams();
    xml();
    marshalled();
    script();
    out_of_process();
    CoUninitialize();
    return 0;
}
