// Package inside is the guest's half of package wire: it starts programs, sends and receives
// trees, and does what only the guest's system can do through an interface.
package inside
