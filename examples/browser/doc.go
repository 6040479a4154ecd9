// Command browser serves a page that uploads a file: the server asks the page back, shows it how far the file is, and
// slows it down to its own pace; either side can stop it.
//
//	go run ./examples/browser      # then open http://127.0.0.1:8080
//
// methods.go says what the two call of each other, src/methods.ts is generated from it, and page/page.js is made of
// src/page.ts and the npm package (make example).
package main
