# Read the certified vectors, and compare answers with them: julia read_vectors.jl FOLDER

"The numbers of a line `in NAME axes n m x x ...` or `out NAME axes n m tolerance mid rad ...`."
numbers(words) = parse.(Float64, words[(4 + parse(Int, words[3])):end])

"Whether every entry of the answer is within rad + tolerance of mid; where mid is NaN, nothing is due."
function agrees(answer, output)
    tolerance, mid, rad = output[1], output[2:2:end], output[3:2:end]
    length(answer) == length(mid) && all(isnan.(mid) .| (abs.(answer .- mid) .<= rad .+ tolerance))
end

"The function under test: -eps log sum_j exp((h_j - C_ij) / eps). C comes row by row."
function softmin(C, h, eps)
    map(Iterators.partition(C, length(h))) do row
        scores = (h .- row) ./ eps
        top = maximum(scores)
        -eps * (top + log(sum(exp.(scores .- top))))
    end
end

inputs, right = Dict(), Bool[]
for line in eachline(joinpath(ARGS[1], "text", "softmin.txt"))
    words = split(line, ' ')
    if words[1] == "in"
        inputs[words[2]] = numbers(words)
    elseif words[1] == "out"
        push!(right, agrees(softmin(inputs["C"], inputs["h"], inputs["eps"][1]), numbers(words)))
    end
end
println("$(count(right)) of $(length(right)) right")
