package clock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"
)

// Limits of an agent's patience.
const (
	dialLimit    = time.Second
	answerLimit  = 2 * time.Second
	socketRounds = 8
)

// Link is an agent's connection to a listener. It is for one goroutine at a time.
type Link struct {
	s   *speech
	now func() time.Time
}

// Dial connects to the first address of the offer behind which the listener proves
// to be the one that made it. now is the agent's clock. An address that does not answer
// costs a second.
func Dial(ctx context.Context, o Offer, agent string, now func() time.Time) (*Link, error) {
	var errs []error
	for _, addr := range o.Addrs {
		d := net.Dialer{Timeout: dialLimit}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l := &Link{newSpeech(conn), now}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		err = l.meet(o.Token, agent)
		if stop(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", addr, err), conn.Close())
			continue
		}
		return l, nil
	}
	if len(errs) == 0 {
		return nil, errors.New("the listener offers no address")
	}
	return nil, errors.Join(errs...)
}

func (l *Link) meet(token, agent string) error {
	words, err := l.s.hear(answerLimit)
	if err != nil {
		return err
	}
	if len(words) != 3 || words[0]+" "+words[1]+" " != greeting {
		return errSpeech
	}
	nonce := rand.Text()
	if err := l.s.say(answerLimit, "hello %s %s %s", agent, nonce, prove(token, "agent", words[2])); err != nil {
		return err
	}
	words, err = l.s.hear(answerLimit)
	if err != nil {
		return err
	}
	if len(words) != 2 || words[0] != "ok" || !proves(words[1], token, "listener", nonce) {
		return errors.New("another listener answers there")
	}
	return nil
}

// Compare asks the time a few times. The answer was given between question and
// arrival, however long each way took.
func (l *Link) Compare() (Reading, error) {
	var all []Range
	began := l.now()
	for range socketRounds {
		before := l.now()
		if err := l.s.say(answerLimit, "time"); err != nil {
			return Reading{}, fmt.Errorf("asking the time: %w", err)
		}
		words, err := l.s.hear(answerLimit)
		after := l.now()
		if err != nil {
			return Reading{}, fmt.Errorf("asking the time: %w", err)
		}
		if len(words) != 2 || words[0] != "time" {
			return Reading{}, errSpeech
		}
		theirs, err := wall(words[1])
		if err != nil {
			return Reading{}, err
		}
		all = append(all, Range{before.Sub(theirs), after.Sub(theirs)})
	}
	return Reading{Method: Socket, Ahead: moment(all, l.now().Sub(began))}, nil
}

// Tell says that something has happened at a time by the agent's clock.
func (l *Link) Tell(event string, at time.Time) error {
	return l.s.say(answerLimit, "event %s %d", event, at.UnixNano())
}

// Close ends the connection.
func (l *Link) Close() error { return l.s.conn.Close() }
