/* comuser: makes an in-process COM object (a shell link) and an out-of-process kind
 * of call through rpcss (CoMarshalInterface of it), prints both results as HRESULTs;
 * ends with 0 when both worked. Boot: full. */
#define COBJMACROS
#include <stdio.h>
#include <windows.h>
#include <initguid.h>
#include <objbase.h>
#include <shlobj.h>

int main(void)
{
    IShellLinkW *link = NULL;
    IStream *stream = NULL;
    HRESULT hr;

    hr = CoInitializeEx(NULL, COINIT_MULTITHREADED);
    if (FAILED(hr)) return 3;
    hr = CoCreateInstance(&CLSID_ShellLink, NULL, CLSCTX_INPROC_SERVER, &IID_IShellLinkW, (void **)&link);
    printf("CoCreateInstance 0x%08lX\n", hr);
    if (FAILED(hr)) return 4;
    CreateStreamOnHGlobal(NULL, TRUE, &stream);
    hr = CoMarshalInterface(stream, &IID_IShellLinkW, (IUnknown *)link, MSHCTX_LOCAL, NULL, MSHLFLAGS_NORMAL);
    printf("CoMarshalInterface 0x%08lX\n", hr);
    IShellLinkW_Release(link);
    CoUninitialize();
    return FAILED(hr) ? 5 : 0;
}
