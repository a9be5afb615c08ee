package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// makeOverlay makes a qcow2 file at path that shows the disk backing, of that format and size, and takes what is written to it. It is
// the least that there is of one: a header, and an empty table. QEMU's own tool for that is in a package that nodes may not have.
func makeOverlay(path, backing, format string, size int64) error {
	const (
		cluster   = 64 << 10
		perEntry  = cluster / 8 * cluster // bytes of disk that an entry of the first table stands for
		headerLen = 104
		formatExt = 0xE2792ACA // "format of the backing file"
	)
	entries := (size + perEntry - 1) / perEntry
	tables := (entries*8 + cluster - 1) / cluster // clusters of the first table
	const refTable, refBlock, first = 1, 2, 3
	if len(backing) > 1023 {
		return fmt.Errorf("making an overlay: the path of %s is too long", backing)
	}
	be := binary.BigEndian
	h := make([]byte, 0, cluster)
	h = append(h, 'Q', 'F', 'I', 0xfb)
	h = be.AppendUint32(h, 3) // version
	const extension = 8 + 8   // with its head; formats are shorter than 9 letters
	h = be.AppendUint64(h, headerLen+extension+8)
	h = be.AppendUint32(h, uint32(len(backing)))
	h = be.AppendUint32(h, 16) // a cluster has 1<<16 bytes
	h = be.AppendUint64(h, uint64(size))
	h = be.AppendUint32(h, 0) // no encryption
	h = be.AppendUint32(h, uint32(entries))
	h = be.AppendUint64(h, first*cluster)
	h = be.AppendUint64(h, refTable*cluster)
	h = be.AppendUint32(h, 1) // cluster of that
	h = be.AppendUint32(h, 0) // no snapshots
	h = be.AppendUint64(h, 0)
	h = be.AppendUint64(h, 0) // features: none that QEMU must know,
	h = be.AppendUint64(h, 0) // or may,
	h = be.AppendUint64(h, 0) // or that clear themselves
	h = be.AppendUint32(h, 4) // a reference count has 1<<4 bits
	h = be.AppendUint32(h, headerLen)
	h = be.AppendUint32(h, formatExt)
	h = be.AppendUint32(h, uint32(len(format)))
	h = append(h, append([]byte(format), make([]byte, 8-len(format))...)...)
	h = be.AppendUint64(h, 0) // no more extensions
	h = append(h, backing...)

	refs := make([]byte, 0, cluster)
	for range first + tables {
		refs = be.AppendUint16(refs, 1)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making an overlay: %w", err)
	}
	for _, part := range []struct {
		b  []byte
		at int64
	}{{h, 0}, {be.AppendUint64(nil, refBlock*cluster), refTable * cluster}, {refs, refBlock * cluster}} {
		_, e := f.WriteAt(part.b, part.at)
		err = errors.Join(err, e)
	}
	if err = errors.Join(err, f.Truncate((first+tables)*cluster), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("making an overlay: %w", err), os.Remove(path))
	}
	return nil
}
