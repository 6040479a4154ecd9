// Package chum keeps objects named by their hash, and brings them over between two stores
// that meet on one connection.
package chum
