package vm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/guest/vm/wire"
	"muster/internal/job"
)

// How long a guest may take.
const (
	bootLimit   = 2 * time.Minute  // until muster-init says a word, of a stripped image
	fullLimit   = 10 * time.Minute // of a system with services
	wakeLimit   = 20 * time.Second // the same of a guest that is resumed
	settleLimit = time.Minute      // to take its settings
)

// consoleLines is how many of the console's last lines a failure keeps.
const consoleLines = 12

// Open implements guest.Guest.
func (g *Guest) Open(ctx context.Context, p guest.Place) (guest.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n, err := g.prepare(ctx, p.Node)
	if err != nil {
		return nil, err
	}
	i := &instance{node: n, place: p, names: names{folders: p.Folders, mounts: n.options.mounts}, machineID: hex.EncodeToString(random(16))}
	i.life, i.end = context.WithCancel(context.Background())
	if err := i.open(ctx); err != nil {
		i.end()
		err = errors.Join(err, i.offline(), guest.EmptyDir(p.Dir), guest.EmptyDir(p.Temp))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", guest.ErrBoot, err)
	}
	return i, nil
}

// open makes the clone, warm where that can be had.
func (i *instance) open(ctx context.Context) error {
	payload, err := i.node.payloadFor(ctx, i.names)
	if err != nil {
		return err
	}
	c := i.node.config(i.place, i.disks(), payload)
	if i.node.options.net == NetSlot {
		var card *os.File
		if i.port, card, err = i.node.segments.join(i.place.Group + i.alone()); err != nil {
			return err
		}
		defer card.Close() // the machine has it then
		c.Net.Socket = card
	}
	if i.node.warm != nil {
		resumed, err := i.node.warm.open(ctx, i, c)
		if resumed || err != nil {
			return err
		}
	}
	if err := i.node.cloneDisks(ctx, i.disks(), ""); err != nil {
		return err
	}
	i.told(job.PhaseCloned)
	m, err := i.node.host.Boot(ctx, c)
	if err != nil {
		return err
	}
	if err := i.meet(ctx, m, i.node.patience); err != nil {
		return err
	}
	i.told(job.PhaseBooted)
	return nil
}

// alone makes a segment's name one of this instance's only, where it has no group.
func (i *instance) alone() string {
	if i.place.Group != "" {
		return ""
	}
	return i.place.ID
}

// offline takes the instance from its segment.
func (i *instance) offline() error {
	if i.port == nil {
		return nil
	}
	return i.port.leave()
}

// disks is the folder of the instance's own disks.
func (i *instance) disks() string {
	if i.place.Temp != "" {
		return i.place.Temp
	}
	return i.place.Dir
}

// patienceFor is how long a guest of that kind may take to boot.
func patienceFor(kind vmimage.Kind) time.Duration {
	if kind == vmimage.Stripped {
		return bootLimit
	}
	return fullLimit
}

// meet waits for the first word of the guest in m, and makes it itself. When it fails the machine is gone.
func (i *instance) meet(ctx context.Context, m *machine.Machine, limit time.Duration) error {
	h, err := greet(ctx, m, limit)
	if err != nil {
		return err
	}
	ctx, done := context.WithTimeout(ctx, settleLimit)
	defer done()
	if err := h.Settle(ctx, i.settings()); err != nil {
		err = bootError(ctx, m, err)
		err = errors.Join(err, m.Close())
		h.Close()
		return err
	}
	i.machine, i.host, i.carrier = m, h, newCarrier(h)
	return nil
}

// greet waits for the first word of the guest in m. When it fails the machine is gone.
func greet(ctx context.Context, m *machine.Machine, limit time.Duration) (*wire.Host, error) {
	late, done := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it has said nothing in %v", limit))
	defer done()
	h, err := wire.Dial(late, m.Stream())
	if err != nil {
		return nil, errors.Join(bootError(ctx, m, err), m.Close())
	}
	return h, nil
}

// bootError says why a guest did not come up: how its machine has ended, or what it waits for, and what stood last on its console.
func bootError(ctx context.Context, m *machine.Machine, err error) error {
	if ctx.Err() != nil {
		return err
	}
	limit, done := context.WithTimeout(ctx, goneGrace)
	defer done()
	if end, e := m.Wait(limit); e == nil {
		err = errors.New(end.String())
	}
	lines := strings.Split(strings.TrimSpace(m.Console(consoleLines)), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		return fmt.Errorf("%w; nothing stood on its console", err)
	}
	return fmt.Errorf("%w; last on its console: %s\n%s", err, last, strings.Join(lines, "\n"))
}

// The network of --net user is the same in each guest, and each is alone in its own.
var (
	userAddress = netip.MustParsePrefix("10.0.2.15/24")
	userGateway = netip.MustParseAddr("10.0.2.2")
	userDNS     = netip.MustParseAddr("10.0.2.3")
)

// savedMAC is the address of the network card as machines are made with it, and saved. A guest gives itself another.
const savedMAC = "52:54:00:6d:75:73"

// settings make the guest itself: nothing that ought to be different in two machines is the same in two clones.
func (i *instance) settings() wire.Settings {
	s := wire.Settings{
		Hostname: hostname(i.place.ID), MachineID: i.machineID,
		Now: time.Now(), Entropy: random(64), Mounts: i.mounts(),
	}
	switch i.node.options.net {
	case NetUser:
		s.Net = []wire.Interface{{Name: "eth0", MAC: ownMAC(), Address: userAddress, Gateway: userGateway}}
		s.DNS = []netip.Addr{userDNS}
	case NetSlot:
		s.Hostname, s.Hosts = slotName(i.place.Number), slotHosts(i.place)
		s.Net = []wire.Interface{{Name: "eth0", MAC: ownMAC(), Address: netip.PrefixFrom(slotAddress(i.place.Number), slotBits)}}
	}
	return s
}

// mounts show the payload, and what is in it where programs expect it.
func (i *instance) mounts() []wire.Mount {
	program := i.names.program() != ""
	if !program && len(i.names.mounts) == 0 {
		return nil
	}
	all := []wire.Mount{{Device: payloadDisk, Type: vmimage.PayloadFS, At: payloadDir}}
	if program {
		all = append(all, wire.Mount{From: path.Join(payloadDir, payloadProgram), At: programDir})
	}
	for k, m := range i.names.mounts {
		all = append(all, wire.Mount{From: path.Join(payloadDir, payloadMount(k)), At: m.At})
	}
	return all
}

// hostname makes a name for a guest of the place that it lives in.
func hostname(id string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(id) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			r = '-'
		}
		b.WriteRune(r)
	}
	name := strings.Trim(b.String(), "-")
	return name[:min(len(name), 63)]
}

// ownMAC draws an address of those that anybody may use (locally administered, not for groups).
func ownMAC() string {
	b := random(6)
	b[0] = b[0]&^1 | 2
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
