package clock

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// What is said on a connection, a line each:
//
//	listener  muster-clock 1 NONCE
//	agent     hello AGENT NONCE PROOF      PROOF: HMAC-SHA256(token, "agent" and the listener's nonce)
//	listener  ok PROOF                     … "listener" and the agent's nonce
//	agent     time                         as often as it likes, up to maxLines
//	listener  time NANOSECONDS             since 1970, by the listener's clock
//	agent     event NAME NANOSECONDS       by the agent's clock; no answer
//
// The token itself is never sent: who listens on the way, or has taken the port of a
// listener that is gone, learns nothing and is not believed.
const (
	greeting = "muster-clock 1 "
	maxLine  = 256 // bytes
	maxLines = 512 // that one connection may say
	maxName  = 32  // bytes of an event's name
)

var errSpeech = errors.New("what was said is no part of the exchange of clocks")

// Offer is how a listener is found, and proves itself. Whoever reads it may tell
// the listener times: it is kept from other users.
type Offer struct {
	Host  string   `json:"host"`
	Addrs []string `json:"addrs"` // host:port, the likeliest first
	Token string   `json:"token"`
}

// Event is something that an agent told the moment it happened.
type Event struct {
	Agent   string    `json:"agent"`
	Name    string    `json:"name"`
	Told    time.Time `json:"told"`    // by the agent's clock
	Stamped time.Time `json:"stamped"` // by the listener's, when it heard of it
}

// The events that agents tell.
const (
	EventUp    = "up"    // the agent works
	EventFirst = "first" // its first program was started
	EventLanes = "lanes" // it has started as many programs as it has lanes
	EventEnd   = "end"   // it has done its share
)

const saidPrefix = "said."

// Said is the event that a task's program has written something for the first time.
func Said(task int) string { return saidPrefix + strconv.Itoa(task) }

// SaidBy is the task of such an event; 0: it is another one.
func SaidBy(event string) int {
	number, ok := strings.CutPrefix(event, saidPrefix)
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 {
		return 0
	}
	return n
}

func prove(token, who, nonce string) string {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte(who + "\x00" + nonce))
	return hex.EncodeToString(m.Sum(nil))
}

func proves(proof, token, who, nonce string) bool {
	return hmac.Equal([]byte(proof), []byte(prove(token, who, nonce)))
}

// speech reads and writes lines on a connection.
type speech struct {
	conn net.Conn
	in   *bufio.Reader
}

func newSpeech(c net.Conn) *speech { return &speech{c, bufio.NewReaderSize(c, maxLine)} }

// hear reads a line, which must come within limit; 0: whenever it comes.
func (s *speech) hear(limit time.Duration) ([]string, error) {
	var until time.Time
	if limit > 0 {
		until = time.Now().Add(limit)
	}
	if err := s.conn.SetReadDeadline(until); err != nil {
		return nil, err
	}
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return nil, err // a line that is too long is bufio.ErrBufferFull
	}
	return strings.Fields(string(line)), nil
}

func (s *speech) say(limit time.Duration, format string, args ...any) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.conn, format+"\n", args...)
	return err
}

// wall reads a time in nanoseconds.
func wall(word string) (time.Time, error) {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return time.Time{}, errSpeech
	}
	return time.Unix(0, n), nil
}
