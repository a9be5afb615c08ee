package stage

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// What two peers say. Both prove first that they know the token, without sending
// it; then one asks for files of a tree by their numbers in its description,
// which both have. No name travels, so none can lead anywhere.
//
//	server  hello{id, nonce}
//	client  proof{nonce, mac of both nonces and the server's id}
//	server  proof{mac, the other way round}
//	client  want{key, files}
//	server  answer{state, peers}, and with stateSent the files' bytes, one after the other
//
// A message is its length in four bytes, and JSON.

type hello struct {
	ID    string `json:"id"`
	Nonce string `json:"nonce"`
}

type proof struct {
	Nonce string `json:"nonce,omitempty"`
	MAC   []byte `json:"mac"`
}

type want struct {
	Key   string  `json:"key"`
	Files []int   `json:"files"`
	From  address `json:"from"` // who asks: it will have the tree soon
}

type answer struct {
	State state     `json:"state"`
	Peers []address `json:"peers,omitempty"` // who else may have the tree
}

// state is what a peer has of a tree.
type state string

const (
	stateSent   state = "sent"   // here it comes
	stateBusy   state = "busy"   // it serves as many as it can
	stateSoon   state = "soon"   // it is fetching it
	stateAbsent state = "absent" // it does not mean to have it
)

// errPeer: the other side, or the way to it, is to blame.
var errPeer = errors.New("the other node")

const (
	stepLimit    = 30 * time.Second // for a message, or some megabytes
	dialLimit    = 3 * time.Second
	messageLimit = 4 << 20
)

func send(c net.Conn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(stepLimit))
	if _, err = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	return nil
}

// receive reads a message of at most limit bytes.
func receive(c net.Conn, v any, limit uint32) error {
	c.SetDeadline(time.Now().Add(stepLimit))
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > limit {
		return fmt.Errorf("%w: a message of %d bytes", errPeer, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	return nil
}

// mac proves that one side knows the token. Strings are quoted: two lists of
// them cannot look alike.
func mac(token []byte, side string, parts ...string) []byte {
	h := hmac.New(sha256.New, token)
	fmt.Fprintf(h, "muster stage %s %q", side, parts)
	return h.Sum(nil)
}

// strangerLimit bounds messages of those that have proved nothing yet.
const strangerLimit = 1 << 10

// greet is the server's part of the proof.
func greet(c net.Conn, token []byte, id string) error {
	mine := rand.Text()
	if err := send(c, hello{id, mine}); err != nil {
		return err
	}
	var p proof
	if err := receive(c, &p, strangerLimit); err != nil {
		return err
	}
	if !hmac.Equal(p.MAC, mac(token, "client", id, mine, p.Nonce)) {
		return fmt.Errorf("%w does not know the token", errPeer)
	}
	return send(c, proof{MAC: mac(token, "server", id, mine, p.Nonce)})
}

// introduce is the client's part; id is whom it means to talk to.
func introduce(c net.Conn, token []byte, id string) error {
	var h hello
	if err := receive(c, &h, strangerLimit); err != nil {
		return err
	}
	if h.ID != id {
		return fmt.Errorf("%w is another one", errPeer)
	}
	mine := rand.Text()
	if err := send(c, proof{Nonce: mine, MAC: mac(token, "client", id, h.Nonce, mine)}); err != nil {
		return err
	}
	var p proof
	if err := receive(c, &p, strangerLimit); err != nil {
		return err
	}
	if !hmac.Equal(p.MAC, mac(token, "server", id, h.Nonce, mine)) {
		return fmt.Errorf("%w does not know the token", errPeer)
	}
	return nil
}

// patient is a connection whose every read has a limit of its own.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	p.SetReadDeadline(time.Now().Add(stepLimit))
	n, err := p.Conn.Read(b)
	if err != nil {
		err = fmt.Errorf("%w: %w", errPeer, err)
	}
	return n, err
}
