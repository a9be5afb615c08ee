/* network: winsock over this machine's own loopback: TCP and UDP, select, sockets that do not
 * wait, events, names. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include "found.h"

static DWORD WINAPI echo(void *arg)
{
    SOCKET s = accept((SOCKET)arg, NULL, NULL);
    char buf[4096];
    int n, total = 0;

    while ((n = recv(s, buf, sizeof buf, 0)) > 0) {
        total += n;
        if (send(s, buf, n, 0) != n) return 0;
    }
    shutdown(s, SD_BOTH);
    closesocket(s);
    return (DWORD)total;
}

static int receive(SOCKET s, char *to, int want)
{
    int got = 0, n;

    while (got < want && (n = recv(s, to + got, want - got, 0)) > 0) got += n;
    return got;
}

static void tcp(void)
{
    static char out[50000], in[50000];
    struct sockaddr_in a = { .sin_family = AF_INET }, peer;
    int len = sizeof a, i, kind = 0, on = 1;
    SOCKET l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    HANDLE t;
    DWORD code;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    say("bind", "%d", bind(l, (struct sockaddr *)&a, sizeof a));
    getsockname(l, (struct sockaddr *)&a, &len);
    say("a port", "%d %d", a.sin_port != 0, len);
    say("listen", "%d", listen(l, 5));
    t = CreateThread(NULL, 0, echo, (void *)l, 0, NULL);
    say("connect", "%d", connect(c, (struct sockaddr *)&a, sizeof a));
    len = sizeof peer;
    getpeername(c, (struct sockaddr *)&peer, &len);
    say("peer", "%d %s", peer.sin_port == a.sin_port, inet_ntoa(peer.sin_addr));
    say("TCP_NODELAY", "%d", setsockopt(c, IPPROTO_TCP, TCP_NODELAY, (char *)&on, sizeof on));
    len = sizeof kind;
    getsockopt(c, SOL_SOCKET, SO_TYPE, (char *)&kind, &len);
    say("SO_TYPE", "%d", kind);
    for (i = 0; i < 50000; i++) out[i] = (char)(i * 7);
    say("send", "%d", send(c, out, 20000, 0));
    say("echo", "%d", receive(c, in, 20000));
    say("same", "%d", !memcmp(in, out, 20000));
    say("shutdown", "%d", shutdown(c, SD_SEND));
    say("end", "%d", recv(c, in, 10, 0));
    WaitForSingleObject(t, INFINITE);
    GetExitCodeThread(t, &code);
    say("echoed", "%lu", code);
    closesocket(c);
    closesocket(l);
    c = socket(AF_INET, SOCK_STREAM, 0);
    i = connect(c, (struct sockaddr *)&a, sizeof a);
    say("connect to nobody", "%d error %d", i, i ? WSAGetLastError() : 0);
    closesocket(c);
}

static void udp(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET }, from;
    int len = sizeof a, n;
    SOCKET r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
    char buf[16] = "";
    u_long many = 0, yes = 1;
    fd_set set;
    struct timeval soon = { 0, 1000 }, long_time = { 20, 0 };

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(r, (struct sockaddr *)&a, sizeof a);
    getsockname(r, (struct sockaddr *)&a, &len);
    FD_ZERO(&set);
    FD_SET(r, &set);
    say("select on nothing", "%d", select(0, &set, NULL, NULL, &soon));
    say("sendto", "%d", sendto(s, "datagram", 8, 0, (struct sockaddr *)&a, sizeof a));
    FD_ZERO(&set);
    FD_SET(r, &set);
    n = select(0, &set, NULL, NULL, &long_time);
    say("select", "%d %d", n, FD_ISSET(r, &set) != 0);
    ioctlsocket(r, FIONREAD, &many);
    say("FIONREAD", "%lu", many);
    len = sizeof from;
    n = recvfrom(r, buf, 15, 0, (struct sockaddr *)&from, &len);
    say("recvfrom", "%d %s %s", n, buf, inet_ntoa(from.sin_addr));
    sendto(s, "a longer datagram than fits", 27, 0, (struct sockaddr *)&a, sizeof a);
    n = recv(r, buf, 5, 0);
    say("too long", "%d error %d", n, n < 0 ? WSAGetLastError() : 0);
    ioctlsocket(r, FIONBIO, &yes);
    n = recv(r, buf, 5, 0);
    say("would wait", "%d error %d", n, WSAGetLastError());
    closesocket(r);
    n = recv(r, buf, 5, 0);
    say("closed", "%d error %d", n, WSAGetLastError());
}

static void events(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    SOCKET l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
    WSAEVENT e = WSACreateEvent();
    WSANETWORKEVENTS what;
    WSAOVERLAPPED o = { .hEvent = WSACreateEvent() };
    char buf[10] = "";
    WSABUF b = { 10, buf };
    DWORD n = 0, flags = 0;
    int len = sizeof a, r;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(l, (struct sockaddr *)&a, sizeof a);
    getsockname(l, (struct sockaddr *)&a, &len);
    listen(l, 1);
    say("WSAEventSelect", "%d", WSAEventSelect(l, e, FD_ACCEPT));
    connect(c, (struct sockaddr *)&a, sizeof a);
    say("event", "%lu", WSAWaitForMultipleEvents(1, &e, FALSE, 20000, FALSE));
    WSAEnumNetworkEvents(l, e, &what);
    say("FD_ACCEPT", "%lx", what.lNetworkEvents);
    s = accept(l, NULL, NULL);
    WSAEventSelect(s, e, 0);
    r = WSARecv(s, &b, 1, &n, &flags, &o, NULL);
    say("overlapped receive", "%d error %d", r, r ? WSAGetLastError() : 0);
    send(c, "late", 4, 0);
    r = WSAGetOverlappedResult(s, &o, &n, TRUE, &flags);
    say("received", "%d %lu %s", r, n, buf);
    closesocket(c);
    say("peer has gone", "%d", recv(s, buf, 10, 0));
    closesocket(s);
    closesocket(l);
}

static void names(void)
{
    struct addrinfo hint = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found = NULL;
    struct servent *service;
    struct protoent *protocol;
    IN6_ADDR six;
    IN_ADDR four;
    char buf[100];
    int r;

    r = getaddrinfo("localhost", "80", &hint, &found);
    say("getaddrinfo localhost", "%d", r);
    if (!r) say("is", "%s %d", inet_ntoa(((struct sockaddr_in *)found->ai_addr)->sin_addr), ntohs(((struct sockaddr_in *)found->ai_addr)->sin_port));
    hint.ai_flags = AI_NUMERICHOST;
    say("a name as a number", "%d", getaddrinfo("localhost", NULL, &hint, &found));
    say("10.1.2.3", "%d", getaddrinfo("10.1.2.3", NULL, &hint, &found));
    say("gethostbyname", "%d", gethostbyname("localhost") != NULL);
    say("gethostname", "%d", gethostname(buf, 100));
    service = getservbyname("http", "tcp");
    say("getservbyname", "%d", service ? ntohs((u_short)service->s_port) : -1);
    protocol = getprotobyname("udp");
    say("getprotobyname", "%d", protocol ? protocol->p_proto : -1);
    say("inet_addr", "%lx %lx", inet_addr("1.2.3.4"), inet_addr("300.1.1.1"));
    r = inet_pton(AF_INET6, "fe80::1:2", &six);
    say("inet_pton", "%d %s", r, inet_ntop(AF_INET6, &six, buf, 100));
    four.s_addr = htonl(0x7f000001);
    say("inet_ntop", "%s", inet_ntop(AF_INET, &four, buf, 100));
}

int main(void)
{
    WSADATA d;

    say("socket before WSAStartup", "%d", socket(AF_INET, SOCK_STREAM, 0) == INVALID_SOCKET);
    say("WSAStartup", "%d", WSAStartup(MAKEWORD(2, 2), &d));
    say("version", "%x %x", d.wVersion, d.wHighVersion);
    tcp();
    udp();
    events();
    names();
    say("WSACleanup", "%d", WSACleanup());
    return 0;
}
