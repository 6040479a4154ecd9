// Package storetest is the suite that every object.Store with Refs must pass.
//
// A package that implements a store calls Run from a test of its own, with
// the race detector on.
package storetest
