package chum_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// copyleft are sentences of licences that would bind what is built with chum. The Mozilla
// licence only names the GNU ones, so a name is not enough.
var copyleft = map[string]string{
	"GPL":                     `gnu general public license version [123]|gnu general public license is a free, copyleft license|under the terms of the gnu general public license`,
	"AGPL":                    `gnu affero general public license version 3|under the terms of the gnu affero general public license`,
	"LGPL":                    `gnu (lesser|library) general public license version [23]|under the terms of the gnu (lesser|library) general public license`,
	"SSPL":                    `server side public license`,
	"Business Source License": `business source license`,
}

// permissive are sentences of licences that chum may be built with (decision 2).
var permissive = map[string]string{
	"Apache-2.0": `apache license,? version 2\.0`,
	"BSD":        `redistribution and use in source and binary forms`,
	"ISC":        `permission to use, copy, modify, and(/or)? distribute this software for any purpose`,
	"MIT":        `permission is hereby granted, free of charge, to any person obtaining a copy`,
	"MPL-2.0":    `mozilla public license,? version 2\.0`,
	"Unlicense":  `this is free and unencumbered software released into the public domain`,
	"CC0":        `cc0 1\.0 universal`,
	"zlib":       `altered source versions must be plainly marked as such`,
}

// readLicences gives the licence texts of each module that is compiled into chum or its
// tests, by module path.
func readLicences() (map[string][]string, error) {
	list := exec.Command("go", "list", "-deps", "-test", "-e",
		"-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", "./...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	texts := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		name, dir, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || texts[name] != nil {
			continue
		}
		if dir == "" {
			return nil, fmt.Errorf("%s is not downloaded: run go mod download", name)
		}
		texts[name] = []string{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() || !licenceName.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			texts[name] = append(texts[name], string(text))
		}
	}
	return texts, nil
}

var licenceName = regexp.MustCompile(`(?i)^(apache-|mit-)?(licen[sc]e|copying|unlicense)([.-].*)?$`)

// checkLicences takes the licence texts of each module.
func checkLicences(texts map[string][]string) (found []string) {
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if len(texts[name]) == 0 {
			found = append(found, name+": no licence file: without one there is no right to use it")
		}
		for _, text := range texts[name] {
			if kind := nameLicence(copyleft, text); kind != "" {
				found = append(found, fmt.Sprintf("%s: %s, which would bind whoever links chum: use another library (decision 2)", name, kind))
			} else if nameLicence(permissive, text) == "" {
				found = append(found, name+": a licence this test does not know: read it, then add it to house_licence_test.go or use another library")
			}
		}
	}
	return found
}

func nameLicence(sentences map[string]string, text string) string {
	plain := strings.ToLower(strings.Join(strings.Fields(text), " "))
	for _, name := range slices.Sorted(maps.Keys(sentences)) {
		if regexp.MustCompile(sentences[name]).MatchString(plain) {
			return name
		}
	}
	return ""
}
