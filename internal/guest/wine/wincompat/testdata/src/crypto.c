/* crypto: hashes and ciphers of bcrypt and of the old CryptoAPI, random bytes, base64, certificates. */
#include "found.h"
#include <bcrypt.h>
#include <wincrypt.h>

static void hash(const wchar_t *name)
{
    BCRYPT_ALG_HANDLE a;
    BCRYPT_HASH_HANDLE h;
    UCHAR out[64];
    DWORD len = 0, n;
    NTSTATUS s = BCryptOpenAlgorithmProvider(&a, name, NULL, 0);

    if (s) {
        say(plain(name), "0x%lx", s);
        return;
    }
    BCryptGetProperty(a, BCRYPT_HASH_LENGTH, (UCHAR *)&len, sizeof len, &n, 0);
    BCryptCreateHash(a, &h, NULL, 0, NULL, 0, 0);
    BCryptHashData(h, (UCHAR *)"abc", 3, 0);
    s = BCryptFinishHash(h, out, len, 0);
    say(plain(name), "0x%lx %s", s, hex(out, len));
    BCryptDestroyHash(h);
    BCryptCloseAlgorithmProvider(a, 0);
}

static void hmac(void)
{
    BCRYPT_ALG_HANDLE a;
    BCRYPT_HASH_HANDLE h;
    UCHAR out[32];

    BCryptOpenAlgorithmProvider(&a, BCRYPT_SHA256_ALGORITHM, NULL, BCRYPT_ALG_HANDLE_HMAC_FLAG);
    BCryptCreateHash(a, &h, NULL, 0, (UCHAR *)"key", 3, 0);
    BCryptHashData(h, (UCHAR *)"message", 7, 0);
    BCryptFinishHash(h, out, 32, 0);
    say("HMAC-SHA256", "%s", hex(out, 32));
}

static void aes(void)
{
    BCRYPT_ALG_HANDLE a;
    BCRYPT_KEY_HANDLE k;
    UCHAR key[16] = "0123456789abcdef", iv[16] = "fedcba9876543210", out[32], back[32];
    ULONG n = 0;
    NTSTATUS s;

    say("AES", "0x%lx", BCryptOpenAlgorithmProvider(&a, BCRYPT_AES_ALGORITHM, NULL, 0));
    say("CBC", "0x%lx", BCryptSetProperty(a, BCRYPT_CHAINING_MODE, (UCHAR *)BCRYPT_CHAIN_MODE_CBC, sizeof BCRYPT_CHAIN_MODE_CBC, 0));
    s = BCryptGenerateSymmetricKey(a, &k, NULL, 0, key, 16, 0);
    say("key", "0x%lx", s);
    if (s) return;
    s = BCryptEncrypt(k, (UCHAR *)"some plain words", 16, NULL, iv, 16, out, 32, &n, BCRYPT_BLOCK_PADDING);
    say("encrypted", "0x%lx %s", s, hex(out, n));
    memcpy(iv, "fedcba9876543210", 16);
    s = BCryptDecrypt(k, out, n, NULL, iv, 16, back, 32, &n, BCRYPT_BLOCK_PADDING);
    say("decrypted", "0x%lx %.*s", s, (int)n, back);
}

static void old(void)
{
    static const ALG_ID algorithms[] = { CALG_MD5, CALG_SHA1, CALG_SHA_256 };
    HCRYPTPROV p = 0;
    HCRYPTHASH h;
    HCRYPTKEY key;
    BYTE a[64] = { 0 }, b[64] = { 0 }, out[64];
    char text[100];
    DWORD n, i;

    tried("CryptAcquireContext", CryptAcquireContextW(&p, NULL, NULL, PROV_RSA_AES, CRYPT_VERIFYCONTEXT));
    CryptGenRandom(p, 64, a);
    CryptGenRandom(p, 64, b);
    say("CryptGenRandom", "%d", memcmp(a, b, 64) != 0);
    for (i = 0; i < 3; i++) {
        CryptCreateHash(p, algorithms[i], 0, 0, &h);
        CryptHashData(h, (const BYTE *)"abc", 3, 0);
        n = sizeof out;
        CryptGetHashParam(h, HP_HASHVAL, out, &n, 0);
        say("CryptCreateHash", "%lu %s", n, hex(out, n));
    }
    tried("CryptDeriveKey", CryptDeriveKey(p, CALG_AES_128, h, 0, &key));
    strcpy((char *)out, "clear text");
    n = 10;
    tried("CryptEncrypt", CryptEncrypt(key, 0, TRUE, 0, out, &n, sizeof out));
    say("cipher", "%s", hex(out, n));
    tried("CryptDecrypt", CryptDecrypt(key, 0, TRUE, 0, out, &n));
    say("clear", "%.*s", (int)n, out);
    n = sizeof text;
    CryptBinaryToStringA((const BYTE *)"any carnal pleas", 16, CRYPT_STRING_BASE64 | CRYPT_STRING_NOCRLF, text, &n);
    say("base64", "%s", text);
    n = sizeof out;
    tried("from base64", CryptStringToBinaryA("aGVsbG8=", 0, CRYPT_STRING_BASE64, out, &n, NULL, NULL));
    say("is", "%.*s", (int)n, out);
}

static void certificates(void)
{
    HCERTSTORE s = CertOpenStore(CERT_STORE_PROV_MEMORY, 0, 0, 0, NULL);
    CERT_NAME_BLOB name;
    BYTE encoded[200];
    wchar_t back[100];

    name.pbData = encoded;
    name.cbData = sizeof encoded;
    tried("CertStrToName", CertStrToNameW(X509_ASN_ENCODING, L"CN=Somebody, O=Some Company, C=DE", CERT_X500_NAME_STR, NULL, encoded, &name.cbData, NULL));
    say("encoded", "%s", hex(encoded, name.cbData));
    CertNameToStrW(X509_ASN_ENCODING, &name, CERT_X500_NAME_STR, back, 100);
    say("CertNameToStr", "%s", plain(back));
    say("an empty store", "%d %d", s != NULL, CertEnumCertificatesInStore(s, NULL) == NULL);
    say("CertFindOIDInfo", "%s", plain(CryptFindOIDInfo(CRYPT_OID_INFO_OID_KEY, "2.5.4.3", 0)->pwszName));
}

int main(void)
{
    UCHAR a[32] = { 0 }, b[32] = { 0 };

    hash(L"MD5");
    hash(L"SHA1");
    hash(L"SHA256");
    hash(L"SHA512");
    hash(L"NO SUCH");
    hmac();
    aes();
    say("BCryptGenRandom", "0x%lx", BCryptGenRandom(NULL, a, 32, BCRYPT_USE_SYSTEM_PREFERRED_RNG));
    BCryptGenRandom(NULL, b, 32, BCRYPT_USE_SYSTEM_PREFERRED_RNG);
    say("two differ", "%d", memcmp(a, b, 32) != 0);
    old();
    certificates();
    return 0;
}
