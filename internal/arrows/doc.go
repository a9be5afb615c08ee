// Package arrows holds the house in shape: its test reads the source of every
// package and fails when an import points upward, when a driver reaches across
// to another, when a second package starts processes, or when a package is not
// in the list of the house at all. Each ban stands in a table with its reason
// (house_test.go); docs/design.md draws the same picture.
//
// The package has no code of its own.
package arrows
