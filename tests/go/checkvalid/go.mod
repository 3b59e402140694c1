module checkvalid

go 1.21
