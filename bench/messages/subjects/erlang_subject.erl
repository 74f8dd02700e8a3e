%% Erlang/OTP answers the questions of bench/messages/subject.py: processes, `!`, and its distribution over TCP.
-module(erlang_subject).
-export([near/0, far/0]).

far() ->
    register(mirror, spawn(fun mirror/0)),
    register(many, spawn(fun() -> many([spawn(fun mirror/0) || _ <- lists:seq(1, 1000)]) end)),
    io:format("ready~n"),
    eof = io:get_line(""),
    halt().

near() ->
    register(mirror, spawn(fun mirror/0)),
    register(many, spawn(fun() -> many([spawn(fun mirror/0) || _ <- lists:seq(1, 1000)]) end)),
    true = net_kernel:connect_node(far_node()),
    io:format("ready~n"),
    questions().

questions() ->
    case io:get_line("") of
        eof -> halt();
        Line ->
            case catch answer(string:lexemes(Line, " \n")) of
                Number when is_number(Number) -> io:format("~.3f~n", [float(Number)]);
                _ -> io:format("-~n")
            end,
            questions()
    end.

answer(["ask", Where, Depth, Payload, Seconds]) ->
    asks(place(mirror, Where), list_to_integer(Depth), payload(Payload), micros(Seconds));
answer(["tell", Where, Payload, Seconds]) ->
    tells(place(mirror, Where), payload(Payload), micros(Seconds));
answer(["fan_out", Where, _, Seconds]) ->
    place(many, Where) ! {list, self()},
    receive {list, Pids} -> fan_outs(Pids, payload("100B"), micros(Seconds)) end;
answer(["spawn", Count]) ->
    spawns(list_to_integer(Count));
answer(["memory"]) ->
    get(bytes_per_actor);
answer(_) -> no.

mirror() ->
    receive
        {ask, From, Ref, Data} -> From ! {Ref, Data};
        {tell, _} -> ok
    end,
    mirror().

many(Pids) ->
    receive {list, From} -> From ! {list, Pids} end,
    many(Pids).

asks(To, Depth, Data, Micros) ->
    Begin = now_us(),
    Self = self(),
    [spawn_link(fun() -> Self ! {count, asker(To, Data, Begin + Micros, 0)} end) || _ <- lists:seq(1, Depth)],
    Total = lists:sum([receive {count, N} -> N end || _ <- lists:seq(1, Depth)]),
    Total * 1000000 / (now_us() - Begin).

asker(To, Data, End, Count) ->
    lists:foreach(fun(_) -> ask(To, Data) end, lists:seq(1, 8)),
    case now_us() < End of
        true -> asker(To, Data, End, Count + 8);
        false -> Count + 8
    end.

ask(To, Data) ->
    Ref = make_ref(),
    To ! {ask, self(), Ref, Data},
    receive {Ref, Answer} -> Answer end.

tells(To, Data, Micros) ->
    Begin = now_us(),
    Count = teller(To, Data, Begin + Micros, 0),
    ask(To, <<>>),
    Count * 1000000 / (now_us() - Begin).

teller(To, Data, End, Count) ->
    lists:foreach(fun(_) -> To ! {tell, Data} end, lists:seq(1, 64)),
    case now_us() < End of
        true -> teller(To, Data, End, Count + 64);
        false -> Count + 64
    end.

fan_outs(Pids, Data, Micros) ->
    Begin = now_us(),
    Count = fan_out(Pids, Data, Begin + Micros, 0),
    Count * 1000000 / (now_us() - Begin).

fan_out(Pids, Data, End, Count) ->
    Refs = [begin Ref = make_ref(), Pid ! {ask, self(), Ref, Data}, Ref end || Pid <- Pids],
    lists:foreach(fun(Ref) -> receive {Ref, _} -> ok end end, Refs),
    Total = Count + length(Pids),
    case now_us() < End of
        true -> fan_out(Pids, Data, End, Total);
        false -> Total
    end.

spawns(Count) ->
    Before = erlang:memory(processes),
    Begin = now_us(),
    Pids = [spawn(fun mirror/0) || _ <- lists:seq(1, Count)],
    ask(lists:last(Pids), <<>>),
    Rate = Count * 1000000 / (now_us() - Begin),
    put(bytes_per_actor, (erlang:memory(processes) - Before) / Count),
    [exit(Pid, kill) || Pid <- Pids],
    Rate.

place(Name, "local") -> whereis(Name);
place(Name, "tcp") -> {Name, far_node()};
place(_, _) -> throw(no).

payload("100B") -> binary:copy(<<"x">>, 100);
payload("1KiB") -> binary:copy(<<"x">>, 1024);
payload("pod") -> binary:copy(<<"x">>, 4070);
payload(_) -> throw(no).

far_node() -> list_to_atom(os:getenv("BENCH_FAR")).
micros(Seconds) -> round(list_to_float(Seconds) * 1000000).
now_us() -> erlang:monotonic_time(microsecond).
