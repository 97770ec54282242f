use super::ring::primes;
use super::scheme::pair;
use super::*;
use proptest::prelude::*;

const ROW_MAX: i64 = (1 << 40) - 1;

fn keys() -> (SecretKey, PublicKey) {
    pair(&[1; 32], &[2; 32], &[3; 32])
}

fn exact(sealed: &Sealed, secret: &SecretKey) -> i128 {
    secret.open(sealed).into_iter().map(i128::from).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_total_is_the_sum_coefficient_by_coefficient(
        rows in prop::collection::vec(prop::collection::vec(-ROW_MAX..=ROW_MAX, 0..50), 1..8),
    ) {
        let (secret, public) = keys();
        let mut total: Option<Sealed> = None;
        let mut expected = vec![0i64; DEGREE];
        for values in &rows {
            let sealed = public.seal(values).unwrap();
            values.iter().enumerate().for_each(|(at, value)| expected[at] += value);
            match &mut total {
                None => total = Some(sealed),
                Some(total) => total.add(&sealed).unwrap(),
            }
        }
        prop_assert_eq!(secret.open(&total.unwrap()), expected);
    }
}

/// The largest values, doubled until a total has as many parts as it may: the error doubles with it.
#[test]
fn the_largest_total_that_is_allowed_is_exact_and_one_more_is_refused() {
    let (secret, public) = keys();
    for value in [ROW_MAX, -ROW_MAX] {
        let one = public.seal(&vec![value; DEGREE]).unwrap();
        let mut total = one.clone();
        while total.parts() < PARTS_MAX {
            let same = total.clone();
            total.add(&same).unwrap();
        }
        let each = value * PARTS_MAX as i64;
        assert!(secret.open(&total).iter().all(|found| *found == each));
        assert_eq!(exact(&total, &secret), i128::from(each) * DEGREE as i128);
        assert!(total.add(&one).is_err_and(|e| e.kind == kernel::Kind::Data));
    }
}

#[test]
fn equal_numbers_never_look_equal_and_other_keys_open_nothing() {
    let (secret, public) = keys();
    let (one, two) = (public.seal(&[7; 9]).unwrap(), public.seal(&[7; 9]).unwrap());
    assert!(one != two);
    let other = pair(&[4; 32], &[2; 32], &[3; 32]).0;
    assert_eq!(secret.open(&one)[..10], [7, 7, 7, 7, 7, 7, 7, 7, 7, 0]);
    let strange = other.open(&one);
    let near = strange.iter().filter(|value| value.unsigned_abs() < 1 << 40).count();
    assert!(near < 10, "{near} of 8,192 came out small by chance");
}

#[test]
fn bytes_are_read_again_and_strange_ones_are_refused() {
    let (secret, public) = keys();
    let sealed = public.seal(&[1, -2, 3]).unwrap();
    let mut bytes = Vec::new();
    sealed.write(&mut bytes);
    assert_eq!(bytes.len(), BYTES);
    let mut total = Sealed::read(1, &bytes).unwrap();
    assert!(total == sealed);
    total.add_bytes(1, &bytes).unwrap();
    assert_eq!(secret.open(&total)[..4], [2, -4, 6, 0]);
    assert!(Sealed::read(1, &bytes[1..]).is_err() && Sealed::read(0, &bytes).is_err());
    assert!(Sealed::read(PARTS_MAX + 1, &bytes).is_err());
    bytes[..8].copy_from_slice(&primes()[0].p.to_le_bytes());
    assert!(Sealed::read(1, &bytes).is_err(), "a coefficient that is none");
    assert!(public.seal(&[ROW_MAX + 1]).is_err() && public.seal(&[0; DEGREE + 1]).is_err());
}

/// What is drawn is what the bounds of the module are counted with.
#[test]
fn draws_are_within_their_ranges_and_spread_as_they_should() {
    let mut stream = super::stream::Stream::new(&[9; 32]);
    let (ternary, errors) = (stream.ternary(), stream.errors());
    for value in [-1, 0, 1] {
        let count = ternary.iter().filter(|drawn| **drawn == value).count();
        assert!((2500..2950).contains(&count), "{count} of {value}");
    }
    assert!(errors.iter().all(|error| error.abs() <= 21));
    let variance = errors.iter().map(|error| error * error).sum::<i64>() as f64 / DEGREE as f64;
    assert!((9.8..11.2).contains(&variance), "{variance}");
    let p = primes()[0].p;
    let uniform = stream.uniform(p);
    let high = uniform.iter().filter(|drawn| **drawn > p / 2).count();
    assert!(uniform.len() == DEGREE && (3800..4400).contains(&high));
}
