package tsgen

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tsconfig is as strict as a program can be that takes a generated file in.
const tsconfig = `{
  "compilerOptions": {
    "target": "ES2023",
    "lib": ["ES2024", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
    "module": "NodeNext",
    "types": [],
    "noEmit": true,
    "strict": true,
    "noUncheckedIndexedAccess": true,
    "exactOptionalPropertyTypes": true,
    "noImplicitOverride": true,
    "noImplicitReturns": true,
    "noFallthroughCasesInSwitch": true,
    "noUnusedLocals": true,
    "isolatedDeclarations": true,
    "declaration": true,
    "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true,
    "allowImportingTsExtensions": true
  },
  "include": ["*.ts"]
}`

// The TypeScript compiler takes what is written, and refuses what does not fit it.
func TestCompiler(t *testing.T) {
	tsc, err := compiler()
	if err != nil {
		t.Skip("there is no TypeScript compiler, neither in ts/node_modules (make ts installs it) nor in the PATH: ", err)
	}
	dir := t.TempDir()
	files, err := filepath.Glob("testdata/*.ts")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"package.json":  `{"type": "module"}`,
		"tsconfig.json": tsconfig,
		"index.ts":      `export * from "@chumsync/chum";`,
		"check.ts":      `export * from "@chumsync/chum/check";`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), tsc, "--project", dir).CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// compiler finds tsc: that of our package, or another.
func compiler() (string, error) {
	ours, err := filepath.Abs("../../ts/node_modules/.bin/tsc")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(ours); err == nil {
		return ours, nil
	}
	return exec.LookPath("tsc")
}
