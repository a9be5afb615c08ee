// Package link carries messages and bounded channels of bytes, both ways at once,
// over one byte stream.
//
// It cannot deadlock: whoever reads the stream never waits for anything else. A channel's
// sender stays within the window that its reader has granted, so what arrives always
// has room; messages are handed to a function that must not wait.
//
// Nothing that the other side sends is trusted: lengths are bounded before memory is taken,
// and who breaks the rules ends the link.
package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kind says what a frame is.
type Kind byte

// The link's own kinds; those from Message on belong to its user.
const (
	data   Kind = 1 + iota // bytes of a channel
	end                    // a channel's last frame; with a text: it was given up, and why
	credit                 // so many bytes more may be sent in a channel
	stop                   // its reader wants no more of a channel, and why

	Message Kind = 16
)

const (
	// MaxPayload bounds what one frame carries.
	MaxPayload = 256 << 10
	// Window is how much of a channel may be on its way.
	Window = 1 << 20

	headerSize = 9        // kind, id, length
	chunk      = 64 << 10 // what a data frame carries at most, so that messages need not wait long behind it
	maxReason  = 4 << 10  // of a text
)

// ErrBroken means that the other side does not keep to the rules.
var ErrBroken = errors.New("the other side does not keep to the protocol")

// putHeader writes a frame's header to b.
func putHeader(b []byte, kind Kind, id uint32, length int) {
	b[0] = byte(kind)
	binary.BigEndian.PutUint32(b[1:], id)
	binary.BigEndian.PutUint32(b[5:], uint32(length))
}

// readFrame reads one frame. The payload lies in buf, which is MaxPayload long, until the
// next call. It returns io.EOF only between frames.
func readFrame(r io.Reader, buf []byte) (kind Kind, id uint32, payload []byte, err error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	kind = Kind(head[0])
	id = binary.BigEndian.Uint32(head[1:])
	length := binary.BigEndian.Uint32(head[5:])
	if length > MaxPayload {
		return 0, 0, nil, fmt.Errorf("%w: a frame of %d bytes, more than %d", ErrBroken, length, MaxPayload)
	}
	payload = buf[:length]
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, nil, err
	}
	return kind, id, payload, nil
}
