package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"muster/internal/guest/vm/wire"
)

// Interfaces are set up by the old ioctls: IPv4 is all that a guest's private segment needs, and netlink would be a
// library.

// setInterface gives the i-th interface what it is to have.
func setInterface(i int, n wire.Interface) error {
	name, err := findInterface(i, n.Name)
	if err != nil {
		return err
	}
	if n.MAC != "" {
		if err := setMAC(name, n.MAC); err != nil {
			return fmt.Errorf("giving %s the address %s: %w", name, n.MAC, err)
		}
	}
	if !n.Address.IsValid() {
		return linkUp(name)
	}
	if !n.Address.Addr().Is4() {
		return fmt.Errorf("giving %s the address %s: only IPv4 is known here", name, n.Address)
	}
	if err := setAddress(name, unix.SIOCSIFADDR, n.Address.Addr()); err != nil {
		return fmt.Errorf("giving %s the address %s: %w", name, n.Address, err)
	}
	if err := setAddress(name, unix.SIOCSIFNETMASK, mask(n.Address.Bits())); err != nil {
		return fmt.Errorf("giving %s the address %s: %w", name, n.Address, err)
	}
	if err := linkUp(name); err != nil {
		return err
	}
	if n.Gateway.IsValid() {
		if err := addRoute(n.Gateway); err != nil {
			return fmt.Errorf("the way out by %s: %w", n.Gateway, err)
		}
	}
	return nil
}

// mask is the netmask of so many bits.
func mask(bits int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ^uint32(0)<<(32-bits))
	return netip.AddrFrom4(b)
}

// findInterface returns the interface of that name, or the i-th one that has hardware.
func findInterface(i int, name string) (string, error) {
	if name != "" {
		if _, err := os.Stat("/sys/class/net/" + name); err == nil {
			return name, nil
		}
	}
	all, err := filepath.Glob("/sys/class/net/*/device")
	if err != nil {
		return "", err
	}
	slices.Sort(all)
	if i >= len(all) {
		return "", fmt.Errorf("the machine has no network card %d (%s)", i+1, name)
	}
	return filepath.Base(filepath.Dir(all[i])), nil
}

// request is struct ifreq: a name and 24 bytes of something.
type request [unix.IFNAMSIZ + 24]byte

func newRequest(name string) (r request) {
	copy(r[:unix.IFNAMSIZ-1], name)
	return r
}

// socketAddress is struct sockaddr_in.
func socketAddress(a netip.Addr) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
	b = append(b, 0, 0)
	b = append(b, a.AsSlice()...)
	return append(b, make([]byte, 8)...)
}

func setAddress(name string, what uint, a netip.Addr) error {
	r := newRequest(name)
	copy(r[unix.IFNAMSIZ:], socketAddress(a))
	return ask(what, r[:])
}

func setMAC(name, text string) error {
	mac, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(mac) != 6 {
		return fmt.Errorf("%q is no address of hardware", text)
	}
	r := newRequest(name)
	b := binary.NativeEndian.AppendUint16(nil, unix.ARPHRD_ETHER)
	copy(r[unix.IFNAMSIZ:], append(b, mac...))
	return ask(unix.SIOCSIFHWADDR, r[:])
}

func linkUp(name string) error {
	r := newRequest(name)
	if err := ask(unix.SIOCGIFFLAGS, r[:]); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	flags := binary.NativeEndian.Uint16(r[unix.IFNAMSIZ:]) | unix.IFF_UP | unix.IFF_RUNNING
	binary.NativeEndian.PutUint16(r[unix.IFNAMSIZ:], flags)
	if err := ask(unix.SIOCSIFFLAGS, r[:]); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	return nil
}

// addRoute makes a gateway everything's.
func addRoute(gateway netip.Addr) error {
	if !gateway.Is4() {
		return fmt.Errorf("%s is no IPv4 address", gateway)
	}
	// struct rtentry: a number, destination, gateway and mask as sockaddr_in, flags; the rest is 0.
	var r [120]byte
	any4 := socketAddress(netip.IPv4Unspecified())
	copy(r[8:], any4)
	copy(r[24:], socketAddress(gateway))
	copy(r[40:], any4)
	binary.NativeEndian.PutUint16(r[56:], unix.RTF_UP|unix.RTF_GATEWAY)
	return ask(unix.SIOCADDRT, r[:])
}

// ask does one ioctl of the network's.
func ask(what uint, b []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }()
	return ioctlBytes(f, what, b)
}

// ioctlBytes does an ioctl whose argument is a structure.
func ioctlBytes(f *os.File, what uint, b []byte) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), uintptr(what), uintptr(unsafe.Pointer(&b[0]))); errno != 0 {
		return errno
	}
	return nil
}
