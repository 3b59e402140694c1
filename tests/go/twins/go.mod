module twins

go 1.26
