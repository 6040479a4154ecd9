package local

func runAsChild() bool { return false }
