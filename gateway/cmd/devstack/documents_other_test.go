//go:build !linux

package main

import "testing"

func TestTheCommandsOfTheDocuments(t *testing.T) {
	leftOut(t, "commands of the documents (the scripted browser is an xdg-open)")
}
