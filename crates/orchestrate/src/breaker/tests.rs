use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000;

fn config() -> BreakerConfig {
    BreakerConfig {
        sliding_window_size: Duration::from_secs(10),
        minimum_number_of_calls: 4,
        permitted_number_of_calls_in_half_open_state: 2,
        wait_duration_in_open_state: Duration::from_secs(5),
        slow_call_duration_threshold: Duration::from_secs(1),
        ..BreakerConfig::default()
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp(ms * MS)
}

fn call(breaker: &mut Breaker, ms: i64, is_failure: bool, took_ms: u64) {
    let permit = breaker.acquire(at(ms)).expect("a permit");
    breaker.record(permit, is_failure, Duration::from_millis(took_ms), at(ms));
}

/// Opened by four failures at second 0.
fn opened() -> Breaker {
    let mut breaker = Breaker::new(config());
    (0..4).for_each(|n| call(&mut breaker, n, true, 1));
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

#[test]
fn it_opens_at_half_of_enough_calls_and_not_before() {
    let mut breaker = Breaker::new(config());
    for (n, is_failure) in [true, true, false].into_iter().enumerate() {
        call(&mut breaker, n as i64, is_failure, 1);
        assert_eq!((breaker.state(), breaker.view(at(3)).failure_rate), (BreakerState::Closed, None), "too few calls");
    }
    call(&mut breaker, 4, false, 1);
    let view = breaker.view(at(5));
    assert_eq!((view.state, view.failure_rate, view.retry_at), (BreakerState::Open, Some(50.0), Some(5_004 * MS)));
    assert_eq!(breaker.acquire(at(5_003)), Err(at(5_004)));
    assert_eq!(breaker.view(at(6_000)).not_permitted_calls, 1);
}

#[test]
fn failures_are_forgotten_with_their_time() {
    let mut breaker = Breaker::new(config());
    (0..3).for_each(|n| call(&mut breaker, n, true, 1));
    call(&mut breaker, 10_000, true, 1);
    assert_eq!(breaker.state(), BreakerState::Closed, "the window of ten seconds holds one call");
    assert_eq!(breaker.view(at(10_001)).buffered_calls, 1);
}

#[test]
fn calls_that_are_all_slow_open_it_though_they_end_well() {
    let mut breaker = Breaker::new(config());
    (0..3).for_each(|n| call(&mut breaker, n, false, 1_001));
    call(&mut breaker, 3, false, 1_000);
    assert_eq!(breaker.state(), BreakerState::Closed, "one was in time");
    let mut breaker = Breaker::new(config());
    (0..4).for_each(|n| call(&mut breaker, n, false, 1_001));
    assert_eq!((breaker.state(), breaker.view(at(5)).slow_call_rate), (BreakerState::Open, Some(100.0)));
}

#[test]
fn half_open_lets_a_few_through_and_they_decide() {
    let mut breaker = opened();
    let (one, two) = (breaker.acquire(at(6_000)).expect("one"), breaker.acquire(at(6_000)).expect("two"));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(breaker.acquire(at(6_000)), Err(at(7_000)), "no third one");
    breaker.record(one, false, Duration::ZERO, at(6_100));
    assert_eq!(breaker.state(), BreakerState::HalfOpen, "the other is not back");
    breaker.record(two, false, Duration::ZERO, at(60_000));
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.view(at(60_000)).buffered_calls, 0, "it starts afresh");
}

#[test]
fn a_failure_while_half_open_opens_it_again() {
    let mut breaker = opened();
    call(&mut breaker, 6_000, false, 1);
    call(&mut breaker, 6_001, true, 1);
    assert_eq!((breaker.state(), breaker.retry_at()), (BreakerState::Open, Some(at(11_001))));
}

#[test]
fn a_permit_given_back_can_be_given_again() {
    let mut breaker = opened();
    for ms in 6_000..6_010 {
        let permit = breaker.acquire(at(ms)).expect("a permit");
        breaker.release(permit);
    }
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
}

#[test]
fn the_place_of_a_call_that_goes_on_is_given_once_and_its_result_counts() {
    let mut breaker = opened();
    let mut long = breaker.acquire(at(6_000)).expect("one");
    let other = breaker.acquire(at(6_000)).expect("two");
    breaker.lend(&mut long);
    breaker.lend(&mut long);
    let third = breaker.acquire(at(6_001)).expect("its place");
    assert_eq!(breaker.acquire(at(6_001)), Err(at(7_001)), "one place, not two");
    breaker.record(long, true, Duration::ZERO, at(6_002));
    breaker.record(third, false, Duration::ZERO, at(6_003));
    assert_eq!(breaker.state(), BreakerState::Open, "one of two failed");
    breaker.release(other);

    let mut dropped = breaker.acquire(at(12_000)).expect("half-open again");
    breaker.lend(&mut dropped);
    breaker.release(dropped);
    let both = [breaker.acquire(at(12_001)), breaker.acquire(at(12_001))];
    assert!(both.iter().all(Result::is_ok) && breaker.acquire(at(12_001)).is_err(), "it had no place any more");
}

#[test]
fn a_call_that_began_before_the_trouble_does_not_judge_what_came_after() {
    let mut breaker = Breaker::new(config());
    let early = breaker.acquire(at(0)).expect("closed");
    (0..4).for_each(|n| call(&mut breaker, n, true, 1));
    let probe = breaker.acquire(at(6_000)).expect("half-open");
    breaker.record(early, false, Duration::from_secs(6), at(6_001));
    assert_eq!(breaker.view(at(6_001)).buffered_calls, 0);
    breaker.record(probe, false, Duration::ZERO, at(6_002));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
}

/// What may happen: time passes, a call is made to its end, or begun, or one that was begun comes back or is dropped.
#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Begin,
    End { is_failure: bool, is_slow: bool },
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_i64..4_000).prop_map(Step::Wait),
        Just(Step::Begin),
        Just(Step::Begin),
        (any::<bool>(), any::<bool>()).prop_map(|(is_failure, is_slow)| Step::End { is_failure, is_slow }),
        Just(Step::Drop),
    ]
}

proptest! {
    /// Against a list of all calls that a person would keep on paper.
    #[test]
    fn the_window_counts_as_a_list_would(steps in prop::collection::vec(step(), 1..300)) {
        let config = config();
        let (mut breaker, mut now, mut begun) = (Breaker::new(config), 0, Vec::new());
        // Of the present state: each result with its second.
        let mut listed: Vec<(i64, bool, bool)> = Vec::new();
        let (mut state, mut given, mut opened_at) = (BreakerState::Closed, 0_u64, 0);
        for step in steps {
            let before = breaker.state();
            let mut is_result = false;
            match step {
                Step::Wait(ms) => now += ms,
                Step::Begin => match breaker.acquire(at(now)) {
                    Ok(permit) => {
                        prop_assert!(before != BreakerState::Open || now >= opened_at + 5_000, "open means open");
                        if breaker.state() != before {
                            (given, listed) = (0, Vec::new());
                        }
                        given += 1;
                        begun.push((breaker.turn, permit));
                    }
                    Err(again) => prop_assert!(before != BreakerState::Closed && again > at(now)),
                },
                Step::End { is_failure, is_slow } => if let Some((turn, permit)) = begun.pop() {
                    let counts = turn == breaker.turn;
                    let took = Duration::from_millis(if is_slow { 1_001 } else { 1 });
                    breaker.record(permit, is_failure, took, at(now));
                    is_result = counts;
                    if counts {
                        listed.push((now.div_euclid(1_000), is_failure, is_slow));
                    }
                },
                Step::Drop => if let Some((turn, permit)) = begun.pop() {
                    given -= u64::from(turn == breaker.turn && before == BreakerState::HalfOpen);
                    breaker.release(permit);
                },
            }
            if before == BreakerState::HalfOpen && breaker.state() == BreakerState::HalfOpen {
                prop_assert!(given <= 2, "no more than permitted");
            }
            let first = now.div_euclid(1_000) - 9;
            let live: Vec<_> = listed.iter().filter(|(second, ..)| before != BreakerState::Closed || *second >= first).collect();
            let (calls, failed, slow) =
                (live.len(), live.iter().filter(|c| c.1).count(), live.iter().filter(|c| c.2).count());
            let enough = if before == BreakerState::HalfOpen { 2 } else { 4 };
            let is_bad = calls >= enough && (failed * 2 >= calls || slow == calls);
            let expected = match before {
                BreakerState::Open => breaker.state(),
                _ if breaker.state() == BreakerState::HalfOpen && before == BreakerState::Open => breaker.state(),
                // Only a result turns it, so a rate that got bad by forgetting waits for the next one.
                _ if is_result && is_bad => BreakerState::Open,
                BreakerState::HalfOpen if is_result && calls >= enough => BreakerState::Closed,
                same => same,
            };
            prop_assert_eq!(breaker.state(), expected, "{:?} {} {} {}", step, calls, failed, slow);
            if breaker.state() != state {
                state = breaker.state();
                if state == BreakerState::Open { opened_at = now }
                if state == BreakerState::Closed { listed.clear() }
            }
        }
    }

    #[test]
    fn a_system_that_is_well_again_is_called_again(steps in prop::collection::vec(step(), 0..100)) {
        let (mut breaker, mut now, mut begun) = (Breaker::new(config()), 0, Vec::new());
        for step in steps {
            match step {
                Step::Wait(ms) => now += ms,
                Step::Begin => begun.extend(breaker.acquire(at(now))),
                Step::End { is_failure, .. } => if let Some(permit) = begun.pop() {
                    breaker.record(permit, is_failure, Duration::ZERO, at(now));
                },
                Step::Drop => if let Some(permit) = begun.pop() { breaker.release(permit) },
            }
        }
        begun.into_iter().for_each(|permit| breaker.release(permit));
        for _ in 0..8 {
            now += 5_000;
            if let Ok(permit) = breaker.acquire(at(now)) {
                breaker.record(permit, false, Duration::ZERO, at(now));
            }
        }
        prop_assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
