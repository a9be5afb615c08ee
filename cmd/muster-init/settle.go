package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"muster/internal/guest/vm/wire"
)

// Settle makes the guest itself. The random pool comes first, since the rest may draw from it.
func (s *system) Settle(set wire.Settings) error {
	if len(set.Entropy) > 0 {
		if err := credit(set.Entropy); err != nil {
			return err
		}
	}
	if !set.Now.IsZero() {
		now := unix.NsecToTimespec(set.Now.UnixNano())
		if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
			return fmt.Errorf("setting the clock: %w", err)
		}
	}
	if set.Hostname != "" {
		if err := s.setHostname(set.Hostname); err != nil {
			return err
		}
	}
	if set.Hostname != "" || len(set.Hosts) > 0 {
		if err := s.setHosts(set.Hostname, set.Hosts); err != nil {
			return err
		}
	}
	if err := s.setMachineID(set.MachineID); err != nil {
		return err
	}
	for i, n := range set.Net {
		if err := setInterface(i, n); err != nil {
			return err
		}
	}
	if len(set.DNS) > 0 {
		if err := setResolver(set.DNS); err != nil {
			return err
		}
	}
	for _, m := range set.Mounts {
		if err := show(m); err != nil {
			return err
		}
		if m.Write && m.Device != "" {
			s.mu.Lock()
			s.kept = append(s.kept, m.At)
			s.mu.Unlock()
		}
	}
	return nil
}

// credit mixes what the host has drawn into the random pool, counts it, and has the generator seeded from it at once:
// a resumed guest's would otherwise go on as its twins' do.
func credit(random []byte) error {
	f, err := os.OpenFile("/dev/urandom", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("the random pool: %w", err)
	}
	defer func() { _ = f.Close() }()
	// struct rand_pool_info: bits, bytes, then these.
	info := binary.NativeEndian.AppendUint32(nil, uint32(8*len(random)))
	info = binary.NativeEndian.AppendUint32(info, uint32(len(random)))
	info = append(info, random...)
	if err := ioctlBytes(f, unix.RNDADDENTROPY, info); err != nil {
		return fmt.Errorf("adding to the random pool: %w", err)
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.RNDRESEEDCRNG, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("seeding the random generator: %w", err) // EINVAL: before Linux 4.14, or it is not ready yet
	}
	return nil
}

func (s *system) setHostname(name string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	return s.own.write(hostnameFile, name+"\n", 0o644)
}

// setHosts sets which names have which addresses; the guest's own has one in any case.
func (s *system) setHosts(name string, hosts map[string]string) error {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	if _, ok := hosts[name]; !ok && name != "" {
		fmt.Fprintf(&b, "127.0.1.1 %s\n", name)
	}
	for _, h := range slices.Sorted(maps.Keys(hosts)) {
		fmt.Fprintf(&b, "%s %s\n", hosts[h], h)
	}
	return s.own.write(hostsFile, b.String(), 0o644)
}

func (s *system) setMachineID(id string) error {
	if id == "" {
		var b [16]byte
		if _, err := unix.Getrandom(b[:], 0); err != nil {
			return fmt.Errorf("drawing a machine-id: %w", err)
		}
		id = hex.EncodeToString(b[:])
	}
	if err := s.own.write(machineIDFile, id+"\n", 0o444); err != nil {
		return err
	}
	if s.own[machineIDFile] != nil { // D-Bus's was looked after then
		return nil
	}
	if st, err := os.Lstat(busFile); err == nil && st.Mode().IsRegular() {
		return replace(busFile, id+"\n", 0o444)
	}
	return nil
}

func setResolver(servers []netip.Addr) error {
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	return replace("/etc/resolv.conf", b.String(), 0o644)
}

// replace makes a file anew, also in place of a link.
func replace(name, text string, mode os.FileMode) error {
	fresh := name + ".muster"
	if err := os.WriteFile(fresh, []byte(text), mode); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}

// show does one mount.
func show(m wire.Mount) error {
	flags := uintptr(unix.MS_NODEV | unix.MS_NOSUID)
	if !m.Write {
		flags |= unix.MS_RDONLY
	}
	if m.Device == "" {
		if err := (mount{m.From, m.At, "", unix.MS_BIND, ""}).do(); err != nil {
			return err
		}
		// A bind mount's flags are only heard the second time.
		if err := unix.Mount("", m.At, "", flags|unix.MS_REMOUNT|unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting %s at %s: %w", m.From, m.At, err)
		}
		return nil
	}
	dev, err := disk{m.Device, m.Device}.wait(patience)
	if err != nil {
		return err
	}
	if err := forget(dev); err != nil {
		return err
	}
	kind := m.Type
	if kind == "" {
		if kind, err = fileSystem(dev); err != nil {
			return err
		}
	}
	return mount{dev, m.At, kind, flags, ""}.do()
}
